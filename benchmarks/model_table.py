"""Every network of the catalogue: its size and cost, and how far its logits are from each framework that has weights.

    python benchmarks/model_table.py                       # all, about ten minutes on two cores
    python benchmarks/model_table.py --only xception vgg16

For each framework that has such a network, that network is built there with random weights, calibrated so that a
picture reaches the logits (gamma and beta random, statistics of batch normalisation from one forward pass on
structured pictures), saved in the framework's own format, and converted as `separable convert` does. The figure is the
certificate's: the largest difference between its logits and ours on the same pictures, over its largest logit, at the
network's own size and at about half of it with even, unequal sides. The published weights cannot be had on a machine
without a network; the arithmetic they run through is the same. Writes results/model_table.json and .md, and the
README's table.
"""

import argparse
import importlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import safetensors.torch
import torch
from torch import nn

from separable.analysis import profile
from separable.errors import SeparableError
from separable.machine.environment import describe_environment
from separable.models import build_model, list_models, model_spec
from separable.weights.certificate import Certificate
from separable.weights.conversion import convert_weights
from separable.weights.ports import PORTS
from separable.weights.ports.port import Port
from separable.weights.reference import KERAS_NETWORKS, source_network
from separable.weights.verify import structured_pixels

RESULTS = Path(__file__).parent / "results"
CAPTION = (
    "Parameters, multiply-adds and activations (elements that leave a layer) of one picture at the network's own size, "
    "with 1000 classes. Difference: largest of any logit from the source framework's own, over its largest logit, on "
    "the same pictures at two sizes, with random calibrated weights made in that framework (the published ones are not "
    "bundled); 0 is equality to the bit. TF-slim needs TensorFlow 1: its files are matched by names and shapes alone. "
    "Made by `benchmarks/model_table.py`."
)
Row = dict[str, Any]


def calibrated(network: nn.Module, side: int) -> nn.Module:
    """`network` with weights that let a picture through to the logits."""
    torch.manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    pictures = torch.from_numpy(structured_pixels(4, side, side, seed=1)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            if norm.affine:
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.uniform_(0.0, 2.0)
        if norms:
            network.train()(pictures)
    return network.eval()


def torch_file(port: Port, name: str, folder: Path) -> Path:
    """A file of timm's or torchvision's network for the catalogue's `name`."""
    options = {key: value for key, value in port.fixed.items() if key in model_spec(name).options}
    if "gamma" in model_spec(name).options:
        options["gamma"] = True
    with torch.device("meta"):
        ours = build_model(name, **options)
    network, _ = source_network(port, ours)
    calibrated(network, max(96, ours.input_contract.min_size))
    path = folder / f"{port.models[name]}.safetensors"
    safetensors.torch.save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


def keras_file(name: str, folder: Path) -> Path:
    """A `.weights.h5` of Keras' network for the catalogue's `name`."""
    keras: Any = importlib.import_module("keras")
    module, class_name = KERAS_NETWORKS[name]
    keras.utils.set_random_seed(0)
    side = 224 if name == "vgg16" else 128
    make = getattr(keras.applications, class_name)
    network = make(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    rng = np.random.default_rng(0)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        if norm.gamma is not None:
            norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.uniform(0.0, 2.0, norm.beta.shape))
        norm.momentum = 0.0
    if norms:
        prepare = getattr(keras.applications, module).preprocess_input
        with torch.no_grad():
            network(prepare(structured_pixels(4, side, side, seed=1).astype(np.float32)), training=True)
    path = folder / f"{class_name}.weights.h5"
    network.save_weights(path)
    return path


def sources(name: str) -> Iterator[tuple[str, Port | None]]:
    """Every framework with weights for the network `name`, as (how the table calls it, port)."""
    if name in KERAS_NETWORKS:
        yield f"Keras {KERAS_NETWORKS[name][1]}", None
    for port in PORTS:
        if name in port.models:
            yield f"{port.name.partition(' ')[0]} {port.models[name]}", port


def measured(name: str, source: str, port: Port | None, folder: Path) -> Row:
    """One row: the network as this source has it, and the certificate of its conversion."""
    if port is not None and port.framework == "tf-slim":
        return {**cost(name, {}), "source": source, "note": "names and shapes alone"}
    with warnings.catch_warnings(action="ignore"):
        path = keras_file(name, folder) if port is None else torch_file(port, name, folder)
    release = None if port is None else port.framework
    certificate = convert_weights(path, folder / "converted", release=release)
    return {**cost(name, certificate.options), "source": source, **compared(certificate)}


def compared(certificate: Certificate) -> Row:
    return {
        "reference": certificate.reference,
        "differences": [vars(entry) for entry in certificate.differences],
        "verified": certificate.verified,
        "note": certificate.unverified,
    }


def cost(name: str, options: dict[str, Any]) -> Row:
    with torch.device("meta"):
        model = build_model(name, **options)
    totals = profile(model, (1, 3, *model.input_contract.size))
    return {
        "model": name,
        "options": options,
        "size": list(model.input_contract.size),
        "parameters": totals.parameters,
        "macs": totals.macs,
        "activations": totals.activations,
    }


def markdown(rows: list[Row]) -> str:
    lines = [
        "| model | parameters | GMACs | activations | source | size: difference | size: difference |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for row in rows:
        options = ", ".join(f"{key}={value}" for key, value in row["options"].items())
        found = [f"{d['height']}x{d['width']}: {_number(d['largest'])}" for d in row.get("differences", [])]
        cells = [*found, *[row.get("note") or "" if not found else ""] * 2][:2]
        lines.append(
            f"| `{row['model']}`{f' ({options})' if options else ''} | {row['parameters']:,} | {row['macs'] / 1e9:.3f} "
            f"| {row['activations'] / 1e6:.2f} M | {row['source']} | {cells[0]} | {cells[1]} |"
        )
    return "\n".join([*lines, "", CAPTION, ""])


def _number(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"


def put_into_readme(table: str) -> None:
    """Replace what stands between the markers of README.md."""
    readme = RESULTS.parents[1] / "README.md"
    text = readme.read_text()
    begin = text.index("\n", text.index("<!-- model table: begin")) + 1
    end = text.index("<!-- model table: end")
    readme.write_text(text[:begin] + table + text[end:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=list_models("classify"), default=list_models("classify")
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows: list[Row] = []
    for name in chosen.only:
        found = list(sources(name)) or [("none published", None)]
        for source, port in found:
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    row = (
                        {**cost(name, {}), "source": source}
                        if source == "none published"
                        else measured(name, source, port, Path(folder))
                    )
                except SeparableError as error:
                    row = {**cost(name, {}), "source": source, "note": str(error)}
            rows.append(row)
            largest = max((entry["largest"] for entry in row.get("differences", [])), default=float("nan"))
            print(f"{name:<20} {source:<32} {largest:9.1e}  {time.perf_counter() - begun:6.1f} s", flush=True)
    document = {"caption": CAPTION, "environment": describe_environment(), "rows": rows}
    (chosen.out / "model_table.json").write_text(json.dumps(document, indent=2, default=str) + "\n")
    (chosen.out / "model_table.md").write_text(markdown(rows))
    if chosen.out == RESULTS and chosen.only == list_models("classify"):
        put_into_readme(markdown(rows))
    failed = [row for row in rows if row.get("verified") is False]
    for row in failed:
        print(f"NOT VERIFIED: {row['model']} from {row['source']}: {row.get('note') or row['differences']}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
