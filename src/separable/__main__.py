"""`python -m separable`: the same as the `separable` command."""

from separable.cli import main

if __name__ == "__main__":
    main()
