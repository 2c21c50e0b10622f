"""The command line. `pyqueue.cli.main:main` is its entry point."""
