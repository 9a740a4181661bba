"""`separable check`."""

from separable.cli.options import Debug, Json

EXAMPLES = """
separable check flowers/
"""


def check(json: Json = False, debug: Debug = False) -> None:
    """Check."""
