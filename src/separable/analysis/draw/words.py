"""What a drawing says beside its boxes' labels: what follows every convolution, shapes, names, numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from separable.analysis.draw.blocks import Block, Group
from separable.analysis.draw.labels import shape_text, short_name
from separable.analysis.draw.units import Unit

__all__ = ["Words", "block_names", "choose_words", "parameters_text", "tensor_text"]

_LONG = {"BN": "batch normalisation", "LN": "layer normalisation", "GN": "group normalisation"}
_OFTEN = 2
"""Convolutions that have the same thing after them, below which boxes say it themselves if others have it too."""
_CONVOLUTIONS = {"conv", "depthwise", "separable"}


@dataclass(frozen=True)
class Words:
    """Writes on boxes what differs from `usual`, the norm and activation that most convolutions have after them."""

    usual: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    """Likewise between the halves of separable convolutions."""
    letters: dict[int, str] = field(default_factory=dict)
    """Letters in place of numbers of channels, by the unit's index."""

    def __call__(self, unit: Unit) -> tuple[str, str]:
        return unit.label.text(self.letters.get(unit.index)), self._note(unit)

    def caption(self) -> str:
        """The sentence for what the boxes leave out, or nothing."""
        if not self.usual:
            return ""
        text = f"Every convolution is followed by {_in_words(self.usual)} (not drawn), unless its box says otherwise."
        if self.between:
            text += f" Between the halves of a separable one there is {_in_words(self.between)}."
        return text

    def _note(self, unit: Unit) -> str:
        note = self._what_follows(unit)
        if unit.label.family != "separable" or unit.between == self.between:
            return note
        between = f"{', '.join(unit.between) or 'nothing'} between"
        return ", ".join(part for part in (between, note) if part)

    def _what_follows(self, unit: Unit) -> str:
        after = unit.after
        usual = self.usual if unit.label.family in _CONVOLUTIONS else ()
        if unit.label.family in ("light", "module") or after == usual:
            return ""
        if after[: len(usual)] == usual:
            return "then " + ", ".join(after[len(usual) :])
        missing = [name for name in usual if name not in after]
        if set(after) <= set(usual):
            return ", ".join(f"no {name}" for name in missing)
        return "then " + ", ".join(after)


def choose_words(units: Sequence[Unit]) -> Words:
    """The commonest thing after a convolution becomes the usual one, where it is more than one box's affair.

    A footnote says that it is not drawn, so nothing is usual that other boxes of the drawing show.
    """
    found = Counter(unit.after for unit in units if unit.label.family in _CONVOLUTIONS)
    between = Counter(unit.between for unit in units if unit.label.family == "separable")
    usual = _commonest(found)
    shown = {short_name(node) for unit in units if unit.label.family == "light" for node in unit.nodes}
    if found[usual] < _OFTEN and shown & set(usual):
        usual = ()
    return Words(usual, _commonest(between))


def _commonest(found: Counter[tuple[str, ...]]) -> tuple[str, ...]:
    return max(found, key=lambda names: (found[names], names)) if found else ()


def _in_words(names: Sequence[str]) -> str:
    return " and ".join(_LONG.get(name, name) for name in names)


def tensor_text(shape: Sequence[int], place: str = "") -> str:
    """ "19x19x728 feature maps"; of the network's input and output: "299x299x3 images", "1000 outputs"."""
    text = shape_text(shape)
    if place == "input":
        return f"{text} images" if len(shape) == 4 else f"{text} input"
    if len(shape) == 4:
        return f"{text} feature maps"
    if len(shape) == 3:
        return f"{text} tokens"
    return f"{text} outputs" if place == "output" else f"{text}-dimensional vectors"


def block_names(blocks: Sequence[Block]) -> str:
    """ "mixed5, mixed6", "block5 to block12"; the second name without what it shares with the first."""
    names = [block.name for block in blocks]
    if len(names) <= 2:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]}"


def parameters_text(group: Group) -> str:
    """ "26,816 parameters", "8 x 1,613,984 parameters", "11,114,880 parameters in all", nothing without any."""
    each = {block.parameters for block in group.blocks}
    if not group.parameters:
        return ""
    if len(group.blocks) > 1 and len(each) == 1:
        return f"{len(group.blocks)} x {each.pop():,} parameters"
    together = " in all" if len(group.blocks) > 1 else ""
    return f"{group.parameters:,} parameters{together}"
