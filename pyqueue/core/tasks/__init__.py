"""Functions as jobs: their arguments as named JSON, checked when they are pushed."""
