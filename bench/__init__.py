"""Measurements, always as ratios to a bare limit in the same run: machines differ, and drift."""
