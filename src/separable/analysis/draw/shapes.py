"""The pieces of a picture before they become SVG: boxes, lines and words with places, and how wide words are."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

__all__ = ["Line", "Piece", "Port", "Rect", "Shape", "Text", "text_pixels"]

# Advance widths of Helvetica and of the fonts made to its measure (Arial, Liberation Sans), in thousandths of the size.
_WIDTHS = dict.fromkeys("abdeghnopqu0123456789_?#$L", 556) | dict.fromkeys("cksvxyzJ", 500)
_WIDTHS |= dict.fromkeys("ABEKPSVXY&", 667) | dict.fromkeys("CDHNRUw", 722) | dict.fromkeys("GOQ", 778)
_WIDTHS |= (
    dict.fromkeys("ijl'|", 230)
    | dict.fromkeys(" \N{NO-BREAK SPACE}.,:;/!It[]\\f", 278)
    | dict.fromkeys('r()-"`{}*', 350)
)
_WIDTHS |= dict.fromkeys("FTZ", 611) | dict.fromkeys("+=<>~", 584) | dict.fromkeys("mM%", 850) | {"W": 944, "@": 1015}
_WIDER_FONTS = 1.06


@dataclass(frozen=True)
class Rect:
    """A box, bar, circle, frame or panel, told apart by `style`: a box's family, or bar, circle, frame, panel, tag."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""
    """Shown when the pointer rests on it."""
    names: tuple[str, ...] = ()
    """The nodes or modules it stands for, so that findings can be marked on it."""


@dataclass(frozen=True)
class Text:
    """`x` is the text's start, middle or end; `y` its base line."""

    x: float
    y: float
    words: str
    style: str = ""
    anchor: str = "middle"
    size: float = 12

    @property
    def width(self) -> float:
        return text_pixels(self.words, self.size, bold=self.style in ("heading", "title", "name"))

    @property
    def left(self) -> float:
        return self.x - {"start": 0.0, "middle": self.width / 2, "end": self.width}[self.anchor]


@dataclass(frozen=True)
class Line:
    """Straight stretches between `points`, with an arrow's head at the last one if `arrow`."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = True


Shape = Rect | Text | Line


@dataclass(frozen=True)
class Port:
    """Where a line may start or must arrive from above; `ends` tells whether something is there to end an arrow at."""

    x: float
    y: float
    ends: bool = True


@dataclass(frozen=True)
class Piece:
    """Shapes around a vertical axis at x = 0, from y = 0 down to `height`."""

    left: float
    right: float
    height: float
    shapes: tuple[Shape, ...] = ()
    entries: tuple[Port, ...] = field(default=(Port(0, 0),))
    exits: tuple[Port, ...] = ()
    overhang: float = 0.0
    """How much further to the right something reaches that frames need not go around."""

    @property
    def width(self) -> float:
        return self.left + self.right

    def moved(self, dx: float, dy: float) -> "Piece":
        """The same elsewhere; `left`, `right` and `height` stay what they are."""
        return replace(
            self,
            shapes=tuple(_moved(shape, dx, dy) for shape in self.shapes),
            entries=tuple(replace(port, x=port.x + dx, y=port.y + dy) for port in self.entries),
            exits=tuple(Port(port.x + dx, port.y + dy) for port in self.exits),
        )


def _moved(shape: Shape, dx: float, dy: float) -> Shape:
    if isinstance(shape, Line):
        return replace(shape, points=tuple((x + dx, y + dy) for x, y in shape.points))
    return replace(shape, x=shape.x + dx, y=shape.y + dy)


def text_pixels(words: str, size: float = 12, *, bold: bool = False) -> float:
    """How wide `words` are, a little more than in Helvetica, so that a somewhat wider font still fits."""
    return sum(_advances(words)) * size / 1000 * _WIDER_FONTS * (1.06 if bold else 1.0)


def _advances(words: str) -> Iterable[int]:
    return (_WIDTHS.get(letter, 600 if ord(letter) < 0x1100 else 1000) for letter in words)
