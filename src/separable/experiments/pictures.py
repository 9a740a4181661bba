"""The pictures that small scales train on, drawn of real pieces: scanned digits on photographs.

A digit has any colour, is lighter than what is under it, turned and sheared: its shape alone tells it. Training and
held-out pictures share no digit and no part of a photograph.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from separable.data.building import built_folder
from separable.data.manifest_rows import join_labels
from separable.data.photographs import CREDIT
from separable.data.random import Key
from separable.data.scenes import SceneSource, SceneStyle, draw_scene
from separable.errors import OutputError, RunFolderError, UsageError
from separable.files import make_directory, write_text_atomically
from separable.segmentation.digit_scenes import scene_sources, write_digit_scenes
from separable.training.lock import file_lock

__all__ = ["DRAWN", "Drawing", "draw"]

Progress = Callable[[int, int | None], None]

DRAWN = {
    "digits": "scanned digits on photographs, one a picture",
    "mirrored": "scanned digits on photographs, one a picture, every second one mirrored",
    "tags": "scanned digits on photographs, one to three a picture",
    "scenes": "scanned digits on photographs with a mask each",
}
"""What `Setup.data` may name to have pictures drawn, in words."""
_PARTS = {"train": 0, "val": 1}
_RECORD = "drawn.json"
_PAUSE = 0.1
_VERSION = 2
"""Raised with every change of what is drawn: pictures of another version are other data."""
_SINGLE = ("digits", "mirrored")
_KINDS = 10
_FADING = 0.25
"""Of tags, the n-th kind of digit is shown 1 / (1 + 0.25 n) times as often as the first: some classes are common."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn: pictures of `side` x `side`, so many to train on and to hold out."""

    kind: str
    side: int
    train: int
    held_out: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.kind}-{self.side}-{self.train}-{self.held_out}-v{_VERSION}"

    @property
    def style(self) -> SceneStyle:
        """Sizes go with the side. Easier than the demo's scenes, for narrow networks have some hundred steps to learn
        in. What kept them at chance for 200 to 280 steps was what varies most and tells nothing, colour and brightness:
        where digits are to be named they are grey, of one contrast with their background, which is nearly black. Sizes
        that vary by more than this, or a brighter background, delay the start again: on 0.2 of the background's
        brightness Inception V3 names 20 % after 130 steps, on 0.1 it names 40 %."""
        counts, sizes = {
            "digits": ((1, 1), (0.65 * self.side, 0.75 * self.side)),
            "mirrored": ((1, 1), (0.6 * self.side, 0.65 * self.side)),
            "tags": ((1, 3), (0.42 * self.side, 0.48 * self.side)),
            "scenes": ((1, 4), (0.33 * self.side, 0.56 * self.side)),
        }[self.kind]
        style = SceneStyle(self.side, counts, sizes, plain=1.0, always_lighter=True)
        if self.kind == "scenes":
            return replace(style, contrast=(80.0, 150.0), background=0.6)
        return replace(style, contrast=(195.0, 200.0), background=0.1, windows=(20, 40), grey=True)


def draw(drawing: Drawing, folder: Path, progress: Progress | None = None) -> str:
    """Have the pictures below `folder`, drawn now or before, as anybody's would lie; return a hash of their pixels.

    "digits" and "mirrored" are laid out as `read_folder` takes them, "tags" as `read_manifest`, "scenes" as
    `read_pairs`. What is drawn depends on `drawing` alone. The folder appears complete or not at all.

    Raises:
        UsageError: another kind, or too few pictures.
        MissingExtraError: scikit-learn is not installed.
        OutputError: the place is not writable, or holds something else or changed pictures.
    """
    if drawing.kind not in DRAWN or min(drawing.train, drawing.held_out) < 2:
        got = f"{drawing.train} and {drawing.held_out} of {drawing.kind}"
        raise UsageError("These pictures cannot be drawn", got=got, expected=f"two or more, of {', '.join(DRAWN)}")
    if not folder.exists():
        make_directory(folder.parent)
        with _one_at_a_time(folder):
            if not folder.exists():  # nobody else has drawn them meanwhile
                with built_folder(folder) as building:
                    _draw(drawing, building, progress or (lambda done, total: None))
                    record = {**asdict(drawing), "version": _VERSION, "pixels": _pixels(building)}
                    write_text_atomically(building / _RECORD, json.dumps(record, indent=1) + "\n")
    record = _recorded(folder)
    if record != {**asdict(drawing), "version": _VERSION, "pixels": _pixels(folder)}:
        raise OutputError(
            f"{folder} is there and does not hold the {drawing.train} and {drawing.held_out} pictures drawn for this",
            fix="Move it away: they are drawn again",
        )
    return str(record["pixels"])


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for the process that draws the same pictures: it is done in seconds, or dead, and then its lock is gone."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(file_lock(folder.with_name(f".{folder.name}.lock"), folder))
                break
            except RunFolderError:
                time.sleep(_PAUSE)
        yield


def _draw(drawing: Drawing, folder: Path, progress: Progress) -> None:
    if drawing.kind == "scenes":
        write_digit_scenes(folder, train=drawing.train, val=drawing.held_out, style=drawing.style)
        return
    sources, counts = scene_sources(_KINDS), {"train": drawing.train, "val": drawing.held_out}
    total, done, rows = sum(counts.values()), 0, ["path,labels,set"]
    for part, number in _PARTS.items():
        turns = _by_kind(sources[part]) if drawing.kind in _SINGLE else [_fading(sources[part])]
        for sample in range(counts[part]):
            source = turns[sample % len(turns)]  # as many of each digit, so that a few pictures show all
            scene = draw_scene(source, Key(0, number, sample), drawing.style)
            mirrored = drawing.kind == "mirrored" and sample // _KINDS % 2
            labels = sorted({int(source.labels[digit]) for digit in scene.digits})
            path = f"{part}/{labels[0]}/{sample:05d}.png" if drawing.kind in _SINGLE else f"{part}/{sample:05d}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            picture = scene.picture[:, ::-1] if mirrored else scene.picture
            Image.fromarray(picture).save(folder / path, compress_level=1)
            rows.append(f"{path},{join_labels([str(label) for label in labels])},{part}")
            done += 1
            progress(done, total)
    if drawing.kind == "tags":
        write_text_atomically(folder / "labels.csv", "\n".join(rows) + "\n")
    write_text_atomically(folder / "CREDIT.txt", CREDIT)


def _by_kind(source: SceneSource) -> list[SceneSource]:
    return [_some(source, np.flatnonzero(source.labels == kind).tolist()) for kind in range(_KINDS)]


def _fading(source: SceneSource) -> SceneSource:
    """With fewer scans of the later kinds of digits."""
    most = min(Counter(source.labels.tolist()).values())
    kept: list[int] = []
    for kind in range(_KINDS):
        members = np.flatnonzero(source.labels == kind)
        kept += members[: round(most / (1 + _FADING * kind))].tolist()
    return _some(source, kept)


def _some(source: SceneSource, kept: list[int]) -> SceneSource:
    return SceneSource(source.digits[kept], source.labels[kept], source.photographs)


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _pixels(folder: Path) -> str:
    """A hash of names and pixels: that of the files would depend on who packed them."""
    digest = hashlib.sha256()
    for path in _sorted(folder, folder.rglob("*.png")):
        with Image.open(folder / path) as picture:
            digest.update(path.encode() + b"\0" + picture.tobytes())
    for path in _sorted(folder, [*folder.glob("*.csv"), *folder.glob("*.yaml")]):
        digest.update(path.encode() + b"\0" + (folder / path).read_bytes())
    return digest.hexdigest()[:16]


def _sorted(folder: Path, paths: Iterable[Path]) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)
