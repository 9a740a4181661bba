"""What was asked of `separable predict` for masks."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from separable.cli.options import picture_size
from separable.cli.predict_files import demand_ending
from separable.cli.predict_names import demand_folder
from separable.cli.tuning import MANY, kernels_are_built
from separable.errors import SeparableError, UsageError
from separable.files import demand_writable

__all__ = ["MaskWishes", "are_many_tiles"]

_TABLES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class MaskWishes:
    """What was asked for; `tile` is height and width."""

    out: Path | None
    overlay: Path | None
    outlines: Path | None
    tile: tuple[int, int] | None
    overlap: int | None
    flips: str

    @classmethod
    def of(
        cls,
        pictures: Sequence[str],
        out: Path | None,
        overlay: Path | None,
        outlines: Path | None,
        tile: str | None,
        overlap: int | None,
        flips: str,
    ) -> "MaskWishes":
        """
        Raises:
            UsageError: places that masks cannot go to, or no size. OutputError: places that cannot be written.
        """
        if out is not None and out.suffix.lower() in _TABLES:
            raise UsageError(
                "The answers of a network for every pixel are masks, not rows",
                got=f"--out {out}",
                expected="a folder for the masks",
                fix="Without --out the shares of the classes are printed; --json has them all",
            )
        if overlap is not None and tile is None:
            raise UsageError("--overlap is of tiles", got=f"--overlap {overlap} and no --tile", fix="Give --tile too")
        for option, folder in (("--out", out), ("--overlay", overlay)):
            if folder is not None:
                demand_folder(folder, pictures, option)
                demand_writable(folder / "masks", makes_folders=True)
        if out is not None and overlay is not None and out.resolve() == overlay.resolve():
            raise UsageError("Masks and overlays need a folder each", got=f"--out {out} --overlay {overlay}")
        if outlines is not None:
            demand_ending(outlines)
            demand_writable(outlines, makes_folders=True)
        return cls(out, overlay, outlines, picture_size(tile), overlap, flips)

    @property
    def places(self) -> dict[str, str]:
        """What is written, for the document."""
        found = {"out": self.out, "overlay": self.overlay, "outlines": self.outlines}
        return {name: str(place) for name, place in found.items() if place is not None}


def are_many_tiles(pictures: Sequence[str], tile: tuple[int, int]) -> bool:
    """Whether so many tiles are to be predicted that timing the CPU kernels pays, and the kernels are there."""
    from separable.data.decode import picture_size as size_of
    from separable.runtime.sources import expand

    if "-" in pictures:
        return False
    tiles = 0
    with suppress(SeparableError):  # said when the pictures' turn comes
        for path in islice(expand(pictures, ()), MANY):
            with suppress(SeparableError):
                height, width = size_of(path, max_pixels=1 << 40)
                tiles += -(-height // tile[0]) * -(-width // tile[1])
            if tiles >= MANY:
                return kernels_are_built()
    return False
