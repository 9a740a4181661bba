"""Pixels that no class has: which values they have, whether anybody said so, and whether a class was meant."""

from collections.abc import Iterator, Sequence

from separable.data.check_problems import Problem, counted, percent
from separable.segmentation.check_facts import PairFacts
from separable.segmentation.coding import TRANSPARENT, MaskCoding, value_name
from separable.segmentation.pair_set import PairsData
from separable.segmentation.sources import MaskFiles

__all__ = ["coding_of_masks", "ignored_notes", "ignored_share", "mistaken_values"]

_MUCH = 0.1


def coding_of_masks(data: PairsData) -> MaskCoding | None:
    """What the values in mask files mean; None where masks are outlines."""
    return data.train.masks.coding if isinstance(data.train.masks, MaskFiles) else None


def mistaken_values(data: PairsData, facts: list[PairFacts], absent: Sequence[str]) -> Iterator[Problem]:
    """A value that classes.yaml leaves to the default is in the masks, and a class that it names is not.

    Args:
        data: what `read_pairs` returned.
        facts: of its pairs.
        absent: classes that no training mask shows.
    """
    coding = coding_of_masks(data)
    if coding is None or not coding.ignored_by_default or coding.told_by_values:
        return
    for value in sorted(coding.ignored):
        masks = sum(value in dict(one.ignored_values) for one in facts)
        if not masks or not absent:
            continue
        name = value_name(value)
        them = absent[0] if len(absent) == 1 else f"one of {', '.join(absent)}"
        yield Problem(
            "value without a class",
            "error",
            f"{name} has no class in classes.yaml and is ignored by default: {percent(ignored_share(facts, value))} of "
            f"the masks' pixels, in {counted(masks, 'mask')}, while no training mask shows {', '.join(absent)}.",
            f"Did you mean `value: {name}` for {them}? If {name} is no class, write `ignore: [{name}]` into "
            "classes.yaml, and add masks that show each class.",
        )


def ignored_notes(data: PairsData, facts: list[PairFacts]) -> Iterator[str]:
    """How much is ignored, which values that is, and who said so."""
    ignored = sum(one.ignored for one in facts)
    if not ignored:
        return
    coding = coding_of_masks(data)
    found = {value for one in facts for value, _ in one.ignored_values}
    share = percent(ignored / sum(one.ignored + sum(one.pixels) for one in facts))
    named = [value_name(value) for value in sorted(found - {TRANSPARENT})]
    by_default = coding is not None and coding.ignored_by_default and bool(named)
    which = [", ".join(named) + (" by default, as nobody wrote `ignore:`" if by_default else "")] if named else []
    which += ["transparent pixels"] if TRANSPARENT in found else []
    which = which or ["crowds of objects"]
    said = f"{share} of the masks' pixels are ignored ({' and '.join(which)}): they teach nothing, and do not count."
    if by_default and sum(ignored_share(facts, value) for value in found - {TRANSPARENT}) > _MUCH:
        values = ", ".join(named)
        said += f" That is much: if {values} is a class, name it in classes.yaml; if not, write `ignore: [{values}]`."
    yield said


def ignored_share(facts: list[PairFacts], value: int) -> float:
    """Of all pixels of the masks that can be used."""
    pixels = sum(dict(one.ignored_values).get(value, 0) for one in facts)
    return pixels / max(1, sum(one.ignored + sum(one.pixels) for one in facts))
