"""The parity certificate of a conversion: what matched, what did not, and how far the logits are from the source's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.compare import LoadReport
from separable.weights.verify import TOLERANCE, Difference

__all__ = ["Certificate", "certificate_for", "changed_options"]


@dataclass(frozen=True)
class Certificate:
    """What a conversion is known to have kept."""

    source: str
    format: str
    model: str
    num_classes: int
    options: dict[str, Any]
    matched: int
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    numerics: str
    """ "source" or "keras": whose epsilon, border and averages the weights run with."""
    input: dict[str, Any]
    reference: str | None = None
    """The framework, its version and the network whose logits ours were held against."""
    differences: tuple[Difference, ...] = ()
    unverified: str | None = None
    """Why there is nothing to compare with."""
    tolerance: float = TOLERANCE
    written: dict[str, Any] = field(default_factory=dict)
    """What the writer of the target says of it: how to load it, what was folded, what differs."""

    @property
    def verified(self) -> bool:
        """Whether every logit was compared and is within the tolerance, on pictures that could tell."""
        told = all(entry.largest <= self.tolerance and entry.apart > 10 * self.tolerance for entry in self.differences)
        return bool(self.differences) and told and self._kept_in_writing

    @property
    def _kept_in_writing(self) -> bool:
        return all(entry["largest"] <= self.tolerance for entry in self.written.get("differences", ()))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `json.dump` takes them."""
        return {**asdict(self), "verified": self.verified}

    def to_text(self) -> str:
        """The certificate as people read it."""
        lines = [
            ("source", f"{self.source} ({self.format})"),
            ("network", f"{self.model}, {self.num_classes:,} classes{_options(self.options)}"),
            ("matched", f"{self.matched:,} tensors"),
            *((("missing", _names(self.missing)),) if self.missing else ()),
            *((("left out", _names(self.left_out)),) if self.left_out else ()),
            *(("note", note) for note in self.notes),
            ("numerics", _numerics(self.input, self.numerics)),
            ("pictures", _pictures(self.input)),
            *self._compared(),
            *self._written(),
            ("verdict", self.verdict),
        ]
        return "\n".join(["Parity certificate", *(f"  {key:<10} {text}" for key, text in lines)])

    def _compared(self) -> list[tuple[str, str]]:
        lines = [("against", self.reference or "nothing: " + (self.unverified or "no comparison was asked for"))]
        if self.differences:
            lines.append(("", "how the pictures are prepared is assumed: equal logits do not show it"))
        for entry in self.differences:
            size = f"{entry.height}x{entry.width}"
            lines.append((size, f"largest difference {entry.largest:.1e} of the largest logit"))
        return lines

    def _written(self) -> list[tuple[str, str]]:
        lines = [(key, self.written[key]) for key in ("framework", "network", "load") if self.written.get(key)]
        lines += [("note", note) for note in self.written.get("notes", ())]
        lines += [
            ("changed", f"{entry['height']}x{entry['width']}, {entry['largest']:.1e} of the largest logit")
            for entry in self.written.get("differences", ())
        ]
        return [("written", f"{key}: {text}") for key, text in lines]

    @property
    def verdict(self) -> str:
        """A sentence on what the comparison shows."""
        if not self.differences:
            return "names and shapes fit; the logits were not compared"
        if not self._kept_in_writing:
            return "what was written is another function than what was read"
        if self.verified:
            return f"the same function, within {self.tolerance:g}"
        if any(entry.largest > self.tolerance for entry in self.differences):
            return f"another function: more than {self.tolerance:g} apart"
        return "nothing proven: the weights answer alike for every picture"


def certificate_for(model: ImageModel, report: LoadReport, source: str, numerics: str, **more: Any) -> Certificate:
    """The certificate of what `report` says went into `model`; `more` fills the fields of the comparison."""
    return Certificate(
        source=source,
        format=report.format,
        model=model.name,
        num_classes=model.num_classes,
        options=changed_options(model),
        matched=len(report.matched),
        missing=report.missing,
        left_out=report.unexpected,
        notes=report.notes,
        numerics=numerics,
        input=_without_names(model.input_contract),
        **more,
    )


def changed_options(model: ImageModel) -> dict[str, Any]:
    """The options in which `model` differs from the catalogue's defaults."""
    with torch.device("meta"):
        plain = build_model(model.name, model.num_classes).options
    return {key: value for key, value in model.options.items() if plain.get(key) != value}


def _without_names(contract: InputContract) -> dict[str, Any]:
    return {key: value for key, value in contract.to_json().items() if key != "class_names"}


def _options(options: dict[str, Any]) -> str:
    return "".join(f", {key}={value}" for key, value in options.items())


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _numerics(contract: dict[str, Any], whose: str) -> str:
    pools = "average pools count the padding" if contract["counts_padding"] else "average pools leave the padding out"
    owner = "the source's own" if whose == "source" else "the catalogue's, by --numerics keras"
    return f"epsilon {contract['batch_norm_eps']:g}, {contract['padding']} borders, {pools} ({owner})"


def _pictures(contract: dict[str, Any]) -> str:
    size = "x".join(str(side) for side in contract["size"])
    crop = f"crop {contract['crop_fraction']:.4g}" if contract["resize"] == "shorter" else "both sides squashed"
    mean, std = (", ".join(f"{value:.4g}" for value in contract[key]) for key in ("mean", "std"))
    return f"{size} {contract['colour_order']}, {crop}, {contract['filter']}, mean {mean}, std {std}"
