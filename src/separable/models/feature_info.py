"""What a feature pyramid's maps are, asked as timm's users ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

__all__ = ["FeatureInfo", "Tap"]


@dataclass(frozen=True)
class Tap:
    """A place of the feature pyramid: after `block`, `channels` maps at 1 / `stride` of the picture's side."""

    block: str
    channels: int
    stride: int


class FeatureInfo(Sequence[dict[str, Any]]):
    """The maps that `features_only` gives, finest first, with timm's methods and keys.

    `info[0]` is {"num_chs": 64, "reduction": 2, "module": "block1", "index": 0}. As in timm, the methods give the list
    for all maps, or with `idx`, one number or several, what stands there.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self.info = [
            {"num_chs": tap.channels, "reduction": tap.stride, "module": tap.block, "index": index}
            for index, tap in enumerate(taps)
        ]
        self.out_indices = tuple(range(len(self.info)))

    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """Of each map."""
        return self.get("num_chs", idx)

    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """How many pixels of the picture's side make one of the map's."""
        return self.get("reduction", idx)

    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """The block that puts the map out, for `model.get_submodule`."""
        return self.get("module", idx)

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """The value of `key` for all maps, or at `idx`."""
        if isinstance(idx, int):
            return self.info[idx][key]
        return [self.info[place][key] for place in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys: Sequence[str] | None = None, idx: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """`keys`, or everything, of all maps or of those at `idx`."""
        chosen = [self.info[place] for place in (self.out_indices if idx is None else idx)]
        return [dict(one) if keys is None else {key: one[key] for key in keys} for one in chosen]

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self.info[index]

    def __len__(self) -> int:
        return len(self.info)
