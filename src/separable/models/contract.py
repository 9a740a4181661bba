"""The input contract: everything about a picture that a network's weights silently rely on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

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
    """"tf_same", or "keras_mobilenet": the strided depthwise layers pad below and to the right on odd sides too."""
    batch_norm_eps: float = 1e-3
    min_size: int = 1
    """Smallest side that the network can take."""
    class_names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, as `json.dump` takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "InputContract":
        """The inverse of `to_json`.

        Raises:
            WeightsFormatError: a field is missing that has no default, or one is unknown.
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
        return cls(**values)
