"""The page of a model on the Hugging Face hub: what it is, what it wants, what it costs, and how to load it."""

import html
import re

import torch
from torch.utils.flop_counter import FlopCounterMode

from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights.certificate import changed_options

__all__ = ["count_macs", "model_card"]

_MOST_CLASSES = 200


def model_card(
    model: ImageModel,
    repo_id: str,
    form: str,
    *,
    license: str | None = None,
    source: str | None = None,
    notes: tuple[str, ...] = (),
) -> str:
    """README.md in Markdown.

    Args:
        form: "separable" or "timm": whose files lie beside it.
        license: the hub's short name of it, such as "apache-2.0"; unknown if None.
        source: a sentence on where the weights come from; unknown if None.
        notes: what was done to the weights for that form.

    Raises:
        UsageError: `license` cannot be the name of one.
    """
    if license is not None and not re.fullmatch(r"[\w.+-]{1,64}", license):
        raise UsageError("That is no licence's name", got=repr(license)[:100], expected='one like "apache-2.0"')
    spec = model_spec(model.name)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options = ", ".join(f"{key}={value!r}" for key, value in changed_options(model).items())
    rows = [
        ("network", f"{model.name} ({spec.paper})"),
        *((("options", options),) if options else ()),
        ("parameters", f"{parameters:,}"),
        ("multiply-adds", f"{count_macs(model):,} for a picture of {_size(model)}"),
        *_input(model),
        ("source", source or "unknown"),
        ("licence", license or "unknown"),
        *(("note", note) for note in notes),
    ]
    name = repo_id.rpartition("/")[2]
    table = [f"| {key} | {_plain(value)} |" for key, value in rows]
    return "\n".join(
        [
            *_header(form, license),
            f"# {_plain(name)}",
            "",
            "| | |",
            "|---|---|",
            *table,
            "",
            *_usage(model, repo_id, form),
            *_classes(model),
        ]
    )


def count_macs(model: ImageModel) -> int:
    """Multiply-adds of convolutions and dense layers for one picture of the network's size, counted without data."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin = build_model(model.name, model.num_classes, **model.options).eval()
        twin(torch.zeros(1, model.options["in_channels"], *model.input_contract.size))
    return int(counter.get_total_flops()) // 2


def _header(form: str, license: str | None) -> list[str]:
    return [
        "---",
        f"library_name: {form}",
        "pipeline_tag: image-classification",
        "tags:",
        "- image-classification",
        f"- {form}",
        *([] if license is None else [f"license: {license}"]),
        "---",
    ]


def _input(model: ImageModel) -> list[tuple[str, str]]:
    contract = model.input_contract
    resize = (
        "both sides resized to it"
        if contract.resize == "squash"
        else f"short side resized to size / {contract.crop_fraction:.4g}, then its centre"
    )
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (contract.mean, contract.std))
    pools = "counted in averages" if contract.counts_padding else "left out of averages"
    return [
        ("picture", f"{_size(model)} {contract.colour_order}, {resize}, {contract.filter}"),
        ("pixels", f"(pixel / {contract.pixel_range[1]:g} - mean) / std, mean {mean}, std {std}"),
        ("borders", f"{contract.padding}, {pools}; at least {contract.min_size} pixels a side"),
        ("batch normalisation", f"epsilon {contract.batch_norm_eps:g}"),
    ]


def _size(model: ImageModel) -> str:
    height, width = model.input_contract.size
    return f"{height}x{width}"


def _usage(model: ImageModel, repo_id: str, form: str) -> list[str]:
    if form == "timm":
        lines = ["import timm", f'model = timm.create_model("hf-hub:{repo_id}", pretrained=True).eval()']
    else:
        lines = ["import separable", f'model = separable.load_model("hf-hub:{repo_id}")']
    return ["```python", *lines, "```", ""]


def _classes(model: ImageModel) -> list[str]:
    names = model.input_contract.class_names
    if not names:
        return [f"{model.num_classes:,} classes, without names.", ""]
    more = f", and {len(names) - _MOST_CLASSES:,} more in config.json" if len(names) > _MOST_CLASSES else ""
    return [f"{len(names):,} classes: {', '.join(_plain(name) for name in names[:_MOST_CLASSES])}{more}.", ""]


def _plain(text: str) -> str:
    """`text` on one line and without what Markdown or HTML would take for their own: a class may be called anything."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
