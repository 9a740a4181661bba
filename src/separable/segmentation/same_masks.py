"""Whether masks hold what they held when a run began: other labels make it another training, and other figures.

`masks.json` in the run folder has a hash of every mask by the path of its picture, `train` and `val` apart.
"""

import json
from pathlib import Path

from separable.data.quarantine import Quarantine
from separable.errors import CheckpointError
from separable.files import path_from, write_text_atomically
from separable.segmentation.pair_set import PairsData, PairSet

__all__ = ["demand_same_masks", "masks_changed", "write_mask_digests"]

_FILE = "masks.json"


def write_mask_digests(run: Path, data: PairsData) -> None:
    """Write `masks.json`."""
    found = {"train": data.train.mask_digests, "val": data.val.mask_digests}
    write_text_atomically(run / _FILE, json.dumps(found, indent=0) + "\n")


def masks_changed(run: Path, part: str, pairs: PairSet) -> tuple[str, ...]:
    """The pictures of `part` ("train" or "val") whose masks hold something else than when `run` began.

    One that is no mask, or does not fit its picture, then or now, is not among them: that is said elsewhere. None are
    where the run has no usable `masks.json`.
    """
    try:
        then = json.loads((run / _FILE).read_text(encoding="utf-8"))[part]
        return tuple(path for path, now in pairs.mask_digests.items() if now and then.get(path) and then[path] != now)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def demand_same_masks(run: Path, root: str | Path, data: PairsData) -> None:
    """Let through what lies in the quarantine, and remember what it holds since it has been mended.

    Raises:
        CheckpointError: other masks have changed.
    """
    quarantined = Quarantine(run / "quarantine.csv").causes
    parts = {"train": data.train, "val": data.val}
    changed = [
        path_from(root, pairs.root, path) for part, pairs in parts.items() for path in masks_changed(run, part, pairs)
    ]
    strange = [path for path in changed if path not in quarantined]
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise CheckpointError(
            f"The run {run} began with other masks",
            got="others by now for " + ", ".join(strange[:3]) + more,
            expected="masks that hold what they held then",
            fix="Put them back, or train in another run folder",
        )
    write_mask_digests(run, data)
