"""Tests of the TCP protocol, against a real server process."""
