"""`python -m pyqueue`: the command line."""

from pyqueue.cli.main import main

if __name__ == "__main__":
    main()
