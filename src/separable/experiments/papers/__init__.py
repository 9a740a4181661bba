"""The papers' tables and figures, one file each: what was claimed, what was printed, what each scale trains.

A file holds one `EXPERIMENT` and nothing that runs. The printed figures are checked against a second listing in the tests.
"""

__all__: list[str] = []
