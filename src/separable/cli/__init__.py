"""The command line. Importing this imports neither torch nor numpy; each verb does so when it runs."""

from separable.cli.entry import main

__all__ = ["main"]
