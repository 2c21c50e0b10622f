"""Building flows and batches: what is to be pushed together, checked as a whole before anything is stored."""
