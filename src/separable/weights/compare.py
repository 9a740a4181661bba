"""Holding a file's tensors against a model's: what is copied, what may stay out, what makes it the wrong file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.contract import InputContract

__all__ = ["Content", "LoadReport", "compare"]

_CLASSIFIERS = ("head.classifier.", *(f"aux_head{number}.classifier." for number in ("", 1, 2)))


@dataclass(frozen=True)
class LoadReport:
    """What one file gave to one model. Names are those of the model's state dict, `unexpected` the file's own."""

    format: str
    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Left as they were: a new classifier, an auxiliary head that the file lacks."""
    unexpected: tuple[str, ...] = ()
    """In the file and not used: a classifier of other classes, an auxiliary head that the model lacks."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """A file as tensors of ours. `missing` and `unexpected` are layers, in the file's names, that found no partner."""

    format: str
    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    contract: InputContract | None = None
    background: bool = False
    """Whether a classifier of 1001 has a class "background" before ImageNet's 1000."""
    refusal: WeightsMismatchError | None = None
    """Why the file, although its names and shapes may fit, is not this network."""


def compare(
    model: ImageModel, path: Path, content: Content, *, new_classifier: bool
) -> tuple[LoadReport, dict[str, Tensor]]:
    """What to copy into `model`, and the report of it.

    Raises:
        WeightsMismatchError: anything is missing, left over, of another shape, or not a finite number, beyond what
            `LoadReport.missing` and `.unexpected` allow.
    """
    if content.refusal is not None:
        raise content.refusal
    state = model.state_dict()
    notes = list(content.notes)
    found = _without_background(model, content, notes)
    out = _left_out(state, found, new_classifier)
    tensors = {name: value for name, value in found.items() if name not in out}
    if out & {"head.classifier.weight"}:
        notes.append("the file's classifier was left out")
    missing = [name for name in state if name not in tensors and not name.endswith("num_batches_tracked")]
    whole = _absent_heads(state, missing)
    may_miss = (*whole, *_new_parts(found)) if new_classifier else whole
    _refuse(
        model,
        path,
        content,
        missing=[name for name in missing if not name.startswith(may_miss)],
        unexpected=[*content.unexpected, *(name for name in tensors if name not in state)],
        shapes={name: v.shape for name, v in tensors.items() if name in state and state[name].shape != v.shape},
    )
    _check_numbers(path, tensors, state)
    if "head.classifier.weight" in missing:
        notes.append("the classifier is new")
    if whole:
        notes.append("the auxiliary head keeps its initial weights")
    report = LoadReport(content.format, tuple(tensors), tuple(missing), (*content.dropped, *sorted(out)), tuple(notes))
    return report, tensors


def _absent_heads(state: Mapping[str, Tensor], missing: list[str]) -> tuple[str, ...]:
    """Beginnings of the names of the model's auxiliary heads that the file has nothing of: they keep their weights."""
    heads = sorted({name.partition(".")[0] + "." for name in state if name.startswith("aux_head")})
    lacking = set(missing)
    counted = [name for name in state if not name.endswith("num_batches_tracked")]
    return tuple(head for head in heads if all(name in lacking for name in counted if name.startswith(head)))


def _without_background(model: ImageModel, content: Content, notes: list[str]) -> Mapping[str, Tensor]:
    """The file's tensors; for a model of 1000 classes without the row of its class "background"."""
    extra = {
        name
        for name, value in content.tensors.items()
        if name.startswith(_CLASSIFIERS) and value.dim() and value.shape[0] == 1001
    }
    if not content.background or model.num_classes != 1000 or not extra:
        return content.tensors
    notes.append('the first of its 1001 classes, "background", was left out')
    return {name: value[1:] if name in extra else value for name, value in content.tensors.items()}


def _left_out(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], new_classifier: bool) -> set[str]:
    """Names in the file that the model may do without."""
    classifiers = {name for name in tensors if name.startswith(_CLASSIFIERS)}
    fits = all(name in state and state[name].shape == tensors[name].shape for name in classifiers if name[0] == "h")
    out = classifiers if new_classifier and not fits else set()
    if "head.classifier.weight" not in state:  # built without classes, or for its features only
        out = out | classifiers | {name for name in tensors if name.startswith("head.") and name not in state}
    if not any(name.startswith("aux_head") for name in state):
        out = out | {name for name in tensors if name.startswith("aux_head")}
    return out


def _new_parts(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Beginnings of the names that come with a new classifier: without any head, the dense layers below it as well."""
    return _CLASSIFIERS if any(name.startswith("head.") for name in tensors) else (*_CLASSIFIERS, "head.")


def _refuse(
    model: ImageModel,
    path: Path,
    content: Content,
    *,
    missing: list[str],
    unexpected: list[str],
    shapes: dict[str, torch.Size],
) -> None:
    if not (missing or unexpected or shapes or content.missing):
        return
    others = bool(unexpected or content.missing)
    bare = not any(name.startswith("head.classifier.") for name in content.tensors)
    if not others and not shapes and bare and all(name.startswith(_new_parts(content.tensors)) for name in missing):
        raise WeightsMismatchError(
            f"{path} has no classifier (a 'notop' file)",
            expected=f"one of {model.num_classes} classes",
            fix='Load it with classes="replace" and train the new classifier',
        )
    state = model.state_dict()
    only_classes = all(name.startswith(_CLASSIFIERS) and s[1:] == state[name].shape[1:] for name, s in shapes.items())
    if not others and not missing and only_classes and all(shapes.values()):
        stored = next(iter(shapes.values()))[0]
        raise WeightsMismatchError(
            f"{path} has a classifier of {stored} classes",
            expected=f"{model.num_classes}, as the model has",
            fix=f'Build the model with num_classes={stored}, or load with classes="replace" for a new classifier',
        )
    lines = [
        _some("missing", list(content.missing) or missing),
        _some("unexpected", unexpected),
        _some("of another shape", [f"{n} {tuple(s)} for {tuple(state[n].shape)}" for n, s in shapes.items()]),
    ]
    raise WeightsMismatchError(
        f"{path} ({content.format}) does not fit this {model.name}, and nothing was loaded",
        got="; ".join(line for line in lines if line),
        expected=f"the weights of {model.name} with options {str(model.options)[:300]}",
        fix="Check the model's name and its options (width, residual, gamma, ...)",
    )


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}: {', '.join(names[:3])}{more}"


def _check_numbers(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """A file can be well-formed and still hold the weights of a training that diverged, or flipped bits."""
    for name, value in tensors.items():
        if value.is_meta:  # shapes alone, held against the model before anything is read
            continue
        if not value.is_floating_point() and not name.endswith("num_batches_tracked"):
            raise WeightsMismatchError(
                f"{path} has no floating-point numbers where weights belong",
                got=f"{name} of type {str(value.dtype).removeprefix('torch.')}",
                fix="Quantised weights are not read: get the file they were made from",
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsMismatchError(f"{path} has NaN or infinite numbers", got=name, expected="finite weights")
        there = state[name].dtype
        if value.is_floating_point() and value.dtype != there and not bool(torch.isfinite(value.to(there)).all()):
            raise WeightsMismatchError(
                f"{path} has numbers too large for the model",
                got=f"{name} up to {float(value.abs().max()):.3g}",
                expected=f"at most {torch.finfo(there).max:.3g}, the largest of {str(there).removeprefix('torch.')}",
            )
        if name.endswith(".running_var") and bool((value < 0).any()):
            raise WeightsMismatchError(f"{path} has negative variances", got=name, expected="at least 0")
