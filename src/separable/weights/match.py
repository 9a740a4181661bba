"""Pairing the layers of a file with the layers a model wants."""

import re
from dataclasses import dataclass, field

from separable.errors import WeightsMismatchError
from separable.weights.keras_names import Plan, Target
from separable.weights.stored import Kind, StoredLayer, StoredLayers

__all__ = ["Pairing", "pair_layers"]

_KINDS: tuple[Kind, ...] = ("conv", "transposed", "depthwise", "separable", "norm")


@dataclass
class Pairing:
    """What belongs to what. `classifier` is None where the file has none (Keras' "notop" files)."""

    layers: dict[str, StoredLayer] = field(default_factory=dict)
    """By the target's prefix."""
    classifier: StoredLayer | None = None
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Dense layers that sit where only a new classifier is wanted."""
    notes: list[str] = field(default_factory=list)


def pair_layers(
    plan: Plan, stored: StoredLayers, *, new_classifier: bool = False, trust_order: bool = False
) -> Pairing:
    """Pair every layer of `stored` with a target of `plan`, by name where there is one, else by order.

    Generic names are matched twice where the file allows, by the number that they end in (order of creation) and by the
    place in the file (order of `model.layers`, which Keras itself goes by); the two must agree.

    Args:
        new_classifier: whatever dense layers the file has, they may be left out.
        trust_order: the file is the published one, which Keras loads by place: go by place if the two disagree.

    Raises:
        WeightsMismatchError: the two orders disagree, or neither is known.
    """
    pairing = Pairing()
    found: dict[Kind, list[StoredLayer]] = {kind: [] for kind in (*_KINDS, "dense", "other")}
    for layer in stored.layers:
        found[layer.kind].append(layer)
    _take_classifier(plan, found, pairing, new_classifier)
    folded = not found["norm"]
    headless = not found["dense"] and pairing.classifier is None  # `compare` says so
    for kind in (*_KINDS, "dense"):
        if (kind == "norm" and folded) or (kind == "dense" and headless):
            continue
        _pair_kind(plan, kind, found[kind], stored, pairing, trust_order)
    pairing.unexpected += [layer.name for layer in found["other"]]
    return pairing


def _take_classifier(plan: Plan, found: dict[Kind, list[StoredLayer]], pairing: Pairing, new_classifier: bool) -> None:
    """Move the classifier, a dense layer or a 1x1 convolution at the end, from `found` into `pairing`."""
    names = plan.classifier.names if plan.classifier is not None else ()
    named = [layer for layer in (*found["dense"], *found["conv"]) if layer.name in names]
    if named:
        pairing.classifier = named[-1]
    elif len(found["dense"]) == len(plan.dense) + 1:
        pairing.classifier = (_counted(found["dense"]) or found["dense"])[-1]
    elif not found["dense"] and len(found["conv"]) == len(plan.targets("conv")) + 1:
        pairing.classifier = (_counted(found["conv"]) or found["conv"])[-1]
    elif found["dense"] and not plan.dense and (new_classifier or plan.classifier is None):
        pairing.dropped = [layer.name for layer in found["dense"]]
        found["dense"] = []
    for layers in (found["dense"], found["conv"]):
        if pairing.classifier in layers:
            layers.remove(pairing.classifier)


def _pair_kind(
    plan: Plan, kind: Kind, layers: list[StoredLayer], stored: StoredLayers, pairing: Pairing, trust_order: bool
) -> None:
    by_name = {name: target for target in plan.targets(kind) for name in target.names}
    rest = []
    for layer in layers:
        target = by_name.get(layer.name)
        if target is None or target.prefix in pairing.layers:
            rest.append(layer)
        else:
            pairing.layers[target.prefix] = layer
    created = [target for target in plan.targets(kind) if target.prefix not in pairing.layers]
    listed = [target for target in plan.targets(kind, listed=True) if target.prefix not in pairing.layers]
    if len(rest) != len(created):
        pairing.missing += [target.names[0] if target.names else target.prefix for target in created]
        pairing.unexpected += [layer.name for layer in rest]
    elif rest:
        pairing.layers.update(_by_order(created, listed, rest, kind, stored, pairing, trust_order))


def _by_order(
    created: list[Target],
    listed: list[Target],
    layers: list[StoredLayer],
    kind: Kind,
    stored: StoredLayers,
    pairing: Pairing,
    trust_order: bool,
) -> dict[str, StoredLayer]:
    by_place = {target.prefix: layer for target, layer in zip(listed, layers, strict=True)} if stored.ordered else None
    counted = _counted(layers) if stored.named else None
    by_number = {target.prefix: layer for target, layer in zip(created, counted, strict=True)} if counted else None
    if by_place is None and by_number is None:
        raise WeightsMismatchError(
            f"{stored.path} does not tell the order of its {kind} layers",
            got=", ".join(layer.name for layer in layers[:5]),
            fix="Save the model again with a current Keras, as .keras",
        )
    if by_place is not None and by_number is not None and by_place != by_number:
        first = next(prefix for prefix in by_place if by_place[prefix] is not by_number[prefix])
        what = f"{first} is {by_place[first].name} by its place and {by_number[first].name} by its number"
        if not trust_order:
            raise WeightsMismatchError(
                f"{stored.path} lists its {kind} layers in one order and numbers them in another",
                got=what,
                fix="Save the model again with a current Keras, as .keras",
            )
        pairing.notes.append(f"order of the {kind} layers taken from their place, as Keras does: {what}")
    return by_place if by_place is not None else by_number or {}


def _counted(layers: list[StoredLayer]) -> list[StoredLayer] | None:
    """`layers` by the number that their generic names end in, or None where they are not one counted series."""
    series = set()
    numbers: dict[int, StoredLayer] = {}
    for layer in layers:
        match = re.fullmatch(r"(.*?)(?:_(\d+))?", layer.name)
        assert match is not None
        series.add(match[1])
        numbers[int(match[2] or 0)] = layer
    if len(series) != 1 or len(numbers) != len(layers):
        return None
    return [numbers[number] for number in sorted(numbers)]
