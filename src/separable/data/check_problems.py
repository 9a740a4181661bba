"""What a check works on and what it finds: the limits, the survey of all pictures, a problem with its pictures."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from separable.data.check_scan import PictureFacts

__all__ = ["ClassCount", "Finding", "Limits", "Problem", "Severity", "Survey", "counted", "percent"]

Severity = Literal["error", "warning", "note"]
"""An error misleads whoever trains on the data; a warning deserves a look; a note is good to know."""


@dataclass(frozen=True)
class Limits:
    """From where on something is said, or is an error. Shares are of readable pictures unless named otherwise."""

    leaked_share: float = 0.01
    """Of the validation pictures that are in training too; more is an error. One picture alone never is."""
    conflict_share: float = 0.005
    """Pictures whose pixels have two labels; more is an error."""
    near_conflict_share: float = 0.02
    """Pictures nearly the same as one with another label; more is an error."""
    unreadable_share: float = 0.05
    """Of all pictures, or of one class at least four times as much; more is an error."""
    duplicate_share: float = 0.05
    """Pictures that are copies within their class and set; more is a warning, fewer a note."""
    few: int = 10
    """Training pictures in a class; fewer are a warning."""
    imbalance: float = 10.0
    """Largest class over smallest in training; more is a warning."""
    tiny_side: int = 32
    """Shorter side in pixels, where most pictures are at least twice that; fewer are a warning."""
    huge_pixels: int = 25_000_000
    """Pixels of a picture; more are a note."""
    aspect: float = 4.0
    """Longer over shorter side; more is a note."""
    giveaway: float = 0.5
    """Share of the labels that chance misses and that the file's format, size or greyness tells; more is a warning."""


@dataclass(frozen=True)
class Finding:
    """One line: a picture (or class folder), the other one it is about, and what there is to say."""

    path: str
    other: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Problem:
    """All findings of one kind, what they mean in a sentence, and what to do in another."""

    kind: str
    severity: Severity
    what: str
    fix: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ClassCount:
    """A class with its readable pictures in training and in validation; where pictures have masks, those that show it,
    and its labelled pixels in training."""

    name: str
    train: int
    val: int
    pixels: int | None = None


@dataclass(frozen=True)
class Survey:
    """N pictures of both sets, training first, as arrays and lists of length N. Pictures with masks are of one class
    without a name."""

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    """For people: relative to the data folder."""
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    facts: tuple[PictureFacts, ...]
    limits: Limits = Limits()

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """Which pictures can be decoded."""
        return np.array([one.cause is None for one in self.facts], bool)

    @cached_property
    def sides(self) -> NDArray[np.int64]:
        """(N, 2) height and width; 0 where unreadable."""
        return np.array([(one.height, one.width) for one in self.facts], np.int64).reshape(-1, 2)

    def counts(self, *, held_out: bool) -> NDArray[np.int64]:
        """Readable pictures of each class in one of the sets."""
        chosen = self.readable & (self.held_out == held_out)
        return np.bincount(self.labels[chosen], minlength=len(self.class_names)).astype(np.int64)

    @property
    def classified(self) -> bool:
        """Whether each picture has a class."""
        return self.class_names != ("",)

    def name(self, index: int) -> str:
        """The class of a picture."""
        return self.class_names[int(self.labels[index])]

    def traits(self) -> Counter[str]:
        """How many readable pictures have each trait."""
        return Counter(trait for one in self.facts if one.cause is None for trait in one.traits)


def percent(share: float) -> str:
    """0.0132 -> "1.3 %"; whole from 10 % on, and never "0 %" for something."""
    if share >= 0.0995:
        return f"{share:.0%}".replace("%", " %")
    return f"{max(share, 0.001) if share > 0 else 0:.1%}".replace("%", " %").replace(".0 ", " ")


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """ "1 picture", "2,000 pictures"."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
