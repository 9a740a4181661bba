"""Which network of the catalogue a weight file holds, told from names and shapes alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from separable.errors import ModelOptionError, UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model, list_models, model_spec
from separable.weights.compare import Content
from separable.weights.content import match_source
from separable.weights.keras_names import plan_for
from separable.weights.ports.find import identify
from separable.weights.ports.port import Port
from separable.weights.source import Source, odd_names
from separable.weights.stored import Kind, StoredLayers

__all__ = ["Recognised", "naming_strangers", "recognise"]

_GAMMA: tuple[dict[str, Any], ...] = ({}, {"gamma": True})
_VARIANTS = {"inception_v3": _GAMMA, "inception_resnet_v2": _GAMMA}
"""Options that a Keras file may want, the most usual first."""
_KINDS: tuple[Kind, ...] = ("conv", "transposed", "depthwise", "separable", "dense")


@dataclass(frozen=True)
class Recognised:
    """A network of the catalogue, and whose weights of it they are."""

    model: str
    num_classes: int
    options: dict[str, Any] = field(default_factory=dict)
    framework: str = "separable"
    port: Port | None = None

    def __str__(self) -> str:
        owner = {"keras": "Keras'", "tf-slim": "TF-slim's"}.get(self.framework, f"{self.framework}'s")
        name = self.model if self.port is None else self.port.models[self.model]
        return f"{owner} {name} with {self.num_classes:,} classes"


def recognise(source: Source, name: str | None = None, options: dict[str, Any] | None = None) -> Recognised:
    """The network in `source`.

    Args:
        name: of the catalogue, where it is known; the file then tells the rest.
        options: of that network, where they are known; the file tells the others.

    Raises:
        UnknownModelError, ModelOptionError: no such network or option.
        WeightsMismatchError: nothing in the file tells, or not even its number of classes.
    """
    given = dict(options or {})
    if source.layers is not None:
        return _keras(source, source.layers, name, given)
    tensors = source.tensors or {}
    found = identify(tensors)
    if found is not None and name in (None, found.model):
        return Recognised(found.model, found.num_classes, {**found.options, **given}, found.port.framework, found.port)
    candidates = [name] if name is not None else list_models()
    fitting = [candidate for candidate in candidates if _own(source, candidate, given) == 0]
    if name is None and len(fitting) != 1:
        raise _unknown(source)
    model = name or fitting[0]
    weight = tensors.get("head.classifier.weight")
    return Recognised(model, weight.shape[0] if weight is not None and weight.dim() and weight.numel() else 0, given)


@contextmanager
def naming_strangers(source: Source, model: str) -> Iterator[None]:
    """Add to a WeightsMismatchError raised inside which other network than `model` the file holds, where it tells."""
    try:
        yield
    except WeightsMismatchError as error:
        other = _stranger(source, model)
        fix = _wrapped(source) if other is None else f"It is {other} for it"
        if fix is None or (other is not None and other.split(": ")[0] in str(error)):
            raise
        raise WeightsMismatchError(error.what, got=error.got, expected=error.expected, fix=fix) from error


def _stranger(source: Source, model: str) -> str | None:
    """Whose network it is, and what to do."""
    if source.config and "name" in source.config:
        name = str(source.config["name"])
        return None if name == model else f"separable's {name}: build {name}"
    try:
        found = recognise(source)
    except (WeightsMismatchError, UsageError):
        return None
    return None if found.model == model else f"{str(found).partition(' with ')[0]}: build {found.model}"


def _unknown(source: Source) -> WeightsMismatchError:
    names = (
        list(source.tensors)
        if source.tensors
        else [layer.name for layer in source.layers.layers]
        if source.layers
        else []
    )
    return WeightsMismatchError(
        f"{source.path} does not tell which network it is",
        got=f"{len(names)} names such as {', '.join(names[:3])}",
        expected="the names of a network of the catalogue, in one of the frameworks that are known",
        fix=_wrapped(source) or "Say which one with --model NAME, if it is one of `separable models`",
    )


def _wrapped(source: Source) -> str | None:
    """What to do about names that nearly all have one prefix, such as a Lightning module's."""
    odd = odd_names(source.tensors or ())
    if odd is None or identify(source.tensors or {}) is not None:  # a known network's names may nearly all begin alike
        return None
    prefix, others = odd
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    shown = ", ".join(name[:60] for name in others[:3])
    return f"All names but {shown}{more} begin with {prefix!r}: save those alone, which are the network's"


def _own(source: Source, name: str, options: dict[str, Any]) -> int:
    """How many names of a state dict of our own do not belong to the network `name`."""
    try:
        with torch.device("meta"):
            model = build_model(name, **options)
    except ModelOptionError:
        return 1
    wanted = {key for key in model.state_dict() if not key.startswith(("head.", "aux_head"))}
    there = {key for key in source.tensors or {} if not key.startswith(("head.", "aux_head"))}
    return len({key for key in wanted ^ there if not key.endswith("num_batches_tracked")})


def _keras(source: Source, stored: StoredLayers, name: str | None, given: dict[str, Any]) -> Recognised:
    best: tuple[int, Recognised] | None = None
    for candidate, options in _candidates(stored, name, given):
        try:
            with torch.device("meta"):
                model = build_model(candidate, **options)
            if name is None and not _alike(model, stored):
                continue
            content = match_source(model, source, new_classifier=False)
        except WeightsMismatchError:
            if name is None:
                continue
            raise
        wrong = _wrong(model, content)
        if best is None or wrong < best[0]:
            weight = content.tensors.get("head.classifier.weight")
            classes = weight.shape[0] if weight is not None and weight.numel() else 0
            best = (wrong, Recognised(candidate, classes, options, "keras"))
    if best is None or (name is None and best[0] > len(stored.layers) // 4):
        raise _unknown(source)
    return best[1]


def _candidates(stored: StoredLayers, name: str | None, given: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for candidate in [name] if name is not None else list_models():
        for variant in _VARIANTS.get(candidate, ({},)):
            told = {**variant, **(_TOLD[candidate](stored) if candidate in _TOLD else {})}
            known = model_spec(candidate).options
            if name is not None or set(given) <= set(known):
                yield candidate, {**told, **given}


def _mobilenet(stored: StoredLayers) -> dict[str, Any]:
    """Width and activation of a MobileNet: its first kernel has 32 channels at width 1."""
    first = next((layer.variables["kernel"] for layer in stored.layers if layer.kind == "conv"), None)
    found: dict[str, Any] = {} if first is None else {"width": first.shape[-1] / 32}
    if stored.activation in ("relu", "relu6"):
        found["activation"] = stored.activation
    return found


def _unet(stored: StoredLayers) -> dict[str, Any]:
    """Depth, width and concatenations of a U-Net: two separable convolutions go down, two transposed ones go up."""
    of_kind = {kind: [layer for layer in stored.layers if layer.kind == kind] for kind in _KINDS}
    first, ups = of_kind["conv"][:1], [layer.variables["kernel"].shape for layer in of_kind["transposed"]]
    found: dict[str, Any] = {"depth": min(8, max(1, len(of_kind["separable"]) // 2))}
    if first:
        *_, found["in_channels"], channels = first[0].variables["kernel"].shape
        found["width"] = channels / 32
    if len(ups) > 2:  # (height, width, out, in)
        found["skips"] = bool(ups[2][-1] > ups[1][-2])
    return found


_TOLD: dict[str, Callable[[StoredLayers], dict[str, Any]]] = {"mobilenet_v1": _mobilenet, "unet_xception": _unet}
"""What the layers tell of a network's options."""


def _alike(model: ImageModel, stored: StoredLayers) -> bool:
    """Whether Keras' layers for `model` are about as many of each kind as the file has."""
    try:
        plan = plan_for(model)
    except WeightsMismatchError:
        return False
    for kind in _KINDS:
        wanted = len(plan.targets(kind))
        there = sum(layer.kind == kind for layer in stored.layers)
        if abs(wanted - there) > 1:  # the classifier may be a convolution or a dense layer, and one may be missing
            return False
    return True


def _wrong(model: ImageModel, content: Content) -> int:
    state = model.state_dict()
    shapes = sum(
        name in state and not name.startswith("head.classifier") and state[name].shape != value.shape
        for name, value in content.tensors.items()
    )
    return len(content.missing) + len(content.unexpected) + int(shapes)
