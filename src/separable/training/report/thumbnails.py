"""Small copies of the pictures a run names, as JPEG data URIs."""

import base64
import io
from pathlib import Path, PurePath

from PIL import Image

from separable.analysis.plots.markup import Markup, element, shorten
from separable.data.decode import decode_picture
from separable.errors import BadPictureError

__all__ = ["Gallery", "leads_outside"]

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
        uri = self._made[path]
        if uri is None:
            return element("span", element("span", "picture no longer there", class_="gone"), class_="frame")
        image = element("img", src=uri, alt=shorten(alt, 200), loading="lazy", title=shorten(path, 200))
        return element("span", image, class_="frame")

    def _uri(self, path: str) -> str | None:
        if leads_outside(Path(path)):
            return None
        for root in self._roots:
            try:
                return _encode(root / path)
            except (BadPictureError, OSError, ValueError):
                continue
        return None


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
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
