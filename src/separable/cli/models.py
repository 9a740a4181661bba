"""`separable models`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output, human_count

if TYPE_CHECKING:
    from separable.models import ModelSpec

EXAMPLES = """
separable models
separable models xception
separable models --json
"""

_TASKS = {
    "classify": "one answer per picture: a class, or with labels.csv several",
    "segment": "one answer per pixel",
}


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model, in full.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the networks, or say everything about one.

    Parameters are the trainable ones and multiply-adds those of one picture, both with 1000 classes, for networks that
    answer for every pixel with 3 (Keras' example) or 21 (PASCAL VOC).
    """
    from separable.models import list_models, model_spec

    with Output(json) as out:
        specs = [model_spec(one) for one in ([name] if name else list_models())]
        if name:
            _describe(out, specs[0])
        else:
            header = ("name", "params", "MACs", "input", "smallest", "paper")
            out.table(header, [_row(spec) for spec in specs], right=(1, 2, 3, 4), whole=(0, 5))
        documents = [_document(spec) for spec in specs]
        out.document(documents[0] if name else documents)


def _row(spec: "ModelSpec") -> tuple[str, ...]:
    size = "x".join(str(side) for side in spec.input.size)
    return (spec.name, human_count(spec.parameters), human_count(spec.macs), size, str(spec.min_size), spec.paper)


def _describe(out: Output, spec: "ModelSpec") -> None:
    contract = spec.input
    scaled = f"(x / {contract.pixel_range[1]:g} - mean) / std"
    lines = {
        "task": _TASKS[spec.task],
        "paper": spec.paper,
        "parameters": f"{spec.parameters:,} trainable, with {spec.num_classes} classes",
        "multiply-adds": f"{spec.macs:,} for one picture",
        "input": f"{contract.size[0]} x {contract.size[1]} {contract.colour_order}, no side below {spec.min_size}",
        "pixels": f"{scaled}, mean {_triple(contract.mean)}, std {_triple(contract.std)}",
        "resize": f"{contract.resize}, {contract.filter}, crop {contract.crop_fraction:g}",
        "options": ", ".join(spec.options),
        "weights": _weights(spec),
    }
    out.show(spec.name)
    for key, value in lines.items():
        out.show(f"  {key:<14} {value}")


def _triple(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)


def _weights(spec: "ModelSpec") -> str:
    if not spec.keras_weights:
        return "none published"
    sizes = sorted({f"{weights.size[0]}x{weights.size[1]}" for weights in spec.keras_weights}, reverse=True)
    return f'weights="keras" (ImageNet, at {", ".join(sizes)})'


def _document(spec: "ModelSpec") -> dict[str, Any]:
    return {
        "name": spec.name,
        "task": spec.task,
        "paper": spec.paper,
        "parameters": spec.parameters,
        "macs": spec.macs,
        "num_classes": spec.num_classes,
        "min_size": spec.min_size,
        "options": list(spec.options),
        "input": spec.input.to_json(),
        "published_weights": [
            {"url": weights.url, "sha256": weights.sha256, "size": list(weights.size), "options": dict(weights.options)}
            for weights in spec.keras_weights
        ],
    }
