"""The command `m2g`, and `python -m m2g`."""

from m2g.cli import main

if __name__ == "__main__":
    main()
