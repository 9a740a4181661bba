"""The input contract: everything about a picture that a network's weights silently rely on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from separable.blocks.border import BORDERS
from separable.errors import WeightsFormatError

__all__ = ["InputContract"]


@dataclass(frozen=True)
class InputContract:
    """How a picture becomes a network's input. It travels with every checkpoint and export; no code guesses it.

    A pixel p of `pixel_range` (low, high) becomes (p / high - mean) / std per channel.
    """

    size: tuple[int, int]
    """Height and width the network is evaluated at."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colour_order: str = "RGB"
    pixel_range: tuple[float, float] = (0.0, 255.0)
    resize: str = "shorter"
    """"shorter": the short side to size / crop_fraction, then a centre crop. "squash": both sides straight to size."""
    crop_fraction: float = 0.875
    filter: str = "bilinear"
    """Always antialiased."""
    padding: str = "tf_same"
    """Where layers put the border they add, one of `blocks.border.BORDERS`."""
    batch_norm_eps: float = 1e-3
    counts_padding: bool = False
    """Whether average pools divide by the padded window, as torch does by default, and so darken the border."""
    min_size: int = 1
    """Smallest side that the network can take."""
    class_names: tuple[str, ...] = ()
    answer: str = "softmax"
    """What makes probabilities of the logits: "softmax", one class a picture; "sigmoid", each class for itself."""

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, as `json.dump` takes them; without an `answer` that is a softmax, which
        older versions know no other than."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        if self.answer == "softmax":
            del plain["answer"]
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "InputContract":
        """The inverse of `to_json`.

        Raises:
            WeightsFormatError: a field is missing that has no default, one is unknown, or one has a value with which no
                picture could be prepared.
        """
        known = {field.name for field in fields(cls)}
        missing = {"size", "mean", "std"} - set(stored)
        unknown = set(stored) - known
        if missing or unknown:
            raise WeightsFormatError(
                "The stored input contract cannot be read",
                got=f"missing {sorted(missing)}, unknown {sorted(unknown)}",
                fix="Load it with the version of separable that wrote it",
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        for key, value in values.items():
            fits, expected = _LEGAL[key]
            if not fits(value):
                raise WeightsFormatError(
                    f"The stored input contract has an illegal {key}",
                    got=repr(stored[key])[:100],
                    expected=expected,
                    fix="The file is damaged or was edited: get it again, or put back what was there",
                )
        return cls(**values)


def _is_number(value: object, low: float, high: float) -> bool:
    """Not a bool, and no NaN or infinity either, as `low` and `high` are finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and _is_number(value, 1, _LARGEST_SIDE)


def _numbers(count: int, low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, tuple) and len(value) == count and all(_is_number(one, low, high) for one in value)
    )


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, " or ".join(names)


_LARGEST_SIDE = 1 << 14
# Far outside of what any network has; with less than 1e-6 to divide by, single precision could overflow.
_LARGEST, _SMALLEST = 1e6, 1e-6
_LEGAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "size": (
        lambda value: isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value)),
        f"height and width, whole numbers from 1 to {_LARGEST_SIDE}",
    ),
    "mean": (_numbers(3, -_LARGEST, _LARGEST), "3 finite numbers"),
    "std": (_numbers(3, _SMALLEST, _LARGEST), "3 finite numbers above 0"),
    "colour_order": _one_of("RGB", "BGR"),
    "pixel_range": (
        lambda value: _numbers(2, -_LARGEST, _LARGEST)(value) and value[1] >= max(value[0], _SMALLEST),
        "2 finite numbers, the second above 0 and above the first",
    ),
    "resize": _one_of("shorter", "squash"),
    "crop_fraction": (lambda value: _is_number(value, 0.01, 1), "a number from 0.01 to 1"),
    "filter": _one_of("bilinear", "bicubic"),
    "padding": _one_of(*BORDERS),
    "batch_norm_eps": (lambda value: _is_number(value, 0, 1), "a number from 0 to 1"),
    "counts_padding": (lambda value: isinstance(value, bool), "true or false"),
    "min_size": (_is_whole, f"a whole number from 1 to {_LARGEST_SIDE}"),
    "class_names": (
        lambda value: isinstance(value, tuple) and all(isinstance(one, str) for one in value),
        "a list of texts",
    ),
    "answer": _one_of("softmax", "sigmoid"),
}
"""What each stored field may be, and how to say so."""
