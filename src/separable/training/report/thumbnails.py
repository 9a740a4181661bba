"""Small copies of the pictures a run names, as JPEG data URIs."""

import base64
import io
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TypeVar

from PIL import Image

from separable.analysis.plots.markup import Markup, element, shorten
from separable.data.decode import decode_picture
from separable.errors import BadPictureError

__all__ = ["Gallery", "data_uri", "find_below", "frame", "leads_outside"]

T = TypeVar("T")

_LONGEST_SIDE = 160
_TINY = 80
_QUALITY = 82


class Gallery:
    """Makes thumbnails of pictures below `roots` (the first that has the file wins), each once."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self._roots = roots
        self._made: dict[str, str | None] = {}

    def missing_of(self, paths: list[str]) -> int:
        """How many of these, shown before, could not be: deleted or moved since, or unreadable."""
        return sum(self._made[path] is None for path in paths)

    def show(self, path: str, alt: str) -> Markup:
        """The picture in its frame, or a frame that says it is not there."""
        if path not in self._made:
            self._made[path] = self._uri(path)
        return frame(self._made[path], alt, path, "picture no longer there")

    def _uri(self, path: str) -> str | None:
        return find_below(self._roots, path, _encode)


def find_below(roots: tuple[Path, ...], path: str, read: Callable[[Path], T]) -> T | None:
    """What `read` makes of the file `path` below the first of the roots where it can; None where it cannot at all."""
    if leads_outside(Path(path)):
        return None
    for root in roots:
        try:
            return read(root / path)
        except (BadPictureError, OSError, ValueError):
            continue
    return None


def frame(uri: str | None, alt: str, title: str, gone: str, style: str | None = None) -> Markup:
    """The image in its frame, or a frame that says why there is none."""
    if uri is None:
        return element("span", element("span", gone, class_="gone"), class_="frame", style=style)
    image = element("img", src=uri, alt=shorten(alt, 200), loading="lazy", title=shorten(title, 200))
    return element("span", image, class_="frame", style=style)


def leads_outside(path: PurePath) -> bool:
    """Whether `path` may leave the folder it is joined to: it is absolute, names a drive (Windows), or climbs by `..`.

    A run folder may come from somebody else: its tables must not pull files of this machine into the page.
    """
    return bool(path.anchor) or ".." in str(path).replace("\\", "/").split("/")


def _encode(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(path)
    picture = Image.fromarray(decode_picture(path, target=(_LONGEST_SIDE, _LONGEST_SIDE)))
    longest = max(picture.size)
    if longest < _TINY:
        # Digits of 8 x 8 pixels: shown as the squares they are rather than as a blur.
        picture = picture.resize([side * (_LONGEST_SIDE // longest) for side in picture.size], Image.Resampling.NEAREST)
    elif longest > _LONGEST_SIDE:
        picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BICUBIC)
    return data_uri(picture)


def data_uri(picture: Image.Image) -> str:
    """The image inside its own address: indexed ones as PNG, to the pixel, others as JPEG."""
    buffer = io.BytesIO()
    kind = "PNG" if picture.mode == "P" else "JPEG"
    picture.save(buffer, kind, quality=_QUALITY, optimize=True)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()
