"""Run the command line as `python -m middo`."""

from middo.cli.main import main

if __name__ == "__main__":
    main()
