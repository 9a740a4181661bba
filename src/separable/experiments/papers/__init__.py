"""The papers' tables and figures, one file each: what was claimed, what was printed, what each scale trains.

A file holds one `EXPERIMENT` and nothing that runs. A second listing of the printed figures stands in the tests.
"""

__all__: list[str] = []
