"""From somebody's weight file to one of ours, timm's or Keras', with a certificate of what was kept."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from separable.errors import OutputError, SeparableError, UsageError, WeightsMismatchError
from separable.files import removed_on_failure, write_text_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights.certificate import Certificate, certificate_for
from separable.weights.compare import LoadReport, compare
from separable.weights.content import match_source
from separable.weights.folder import refuse_existing, weight_file
from separable.weights.hub_files import HUB_PREFIX
from separable.weights.keras_config import read_keras_config
from separable.weights.load import Numerics, fill, own_numerics
from separable.weights.ports import PORTS
from separable.weights.recognise import Recognised, naming_strangers, recognise
from separable.weights.reference import Pixels, Reference, as_input, keras_reference, torch_reference
from separable.weights.save import load_model, save_model
from separable.weights.source import Source, open_source
from separable.weights.tensors import read_safetensors
from separable.weights.verify import certificate_sizes, measure_differences

__all__ = ["TARGETS", "certificate_path", "convert_weights"]

TARGETS = ("separable", "timm", "keras")

Say = Callable[[str], None]


def convert_weights(
    source: Path | str,
    target: Path | str,
    *,
    model: str | None = None,
    options: dict[str, Any] | None = None,
    numerics: Numerics = "source",
    release: str | None = None,
    to: str = "separable",
    verify: bool = True,
    allow_difference: bool = False,
    say: Say = lambda _: None,
) -> Certificate:
    """Read the weights in `source`, write them to `target`, and a certificate beside them.

    Args:
        source: a weight file of any known format, a model folder, a run, or "hf-hub:owner/name".
        target: a folder, for Keras a file ending in `.weights.h5`. It must not be there yet, or be empty.
        model: a name of the catalogue, where the file does not tell; `options` likewise.
        numerics, release: see `load_weights`.
        to: one of `TARGETS`.
        verify: hold the logits against the source framework's, where that is installed.
        allow_difference: write for timm even what its fixed epsilon changes by more than the tolerance.
        say: told what is being done, a sentence at a time.

    Raises:
        UsageError: an unknown target, or one that is already there. OutputError: it cannot be written.
        WeightsFormatError: not a weight file, damaged, or one that would run code.
        WeightsMismatchError: unknown or wrong weights, or a network that the target's framework does not have.
    """
    if to not in TARGETS:
        raise UsageError(f"Unknown target {to!r}", expected=" or ".join(TARGETS))
    source, target = Path(source), Path(target)
    _refuse_overwriting(source, target, to)
    file = weight_file(source)
    say(f"Reading {file}")
    opened = open_source(file)
    network, report, recognised = _read(opened, model, options, numerics, release)
    say(f"It holds {recognised}")
    certificate = certificate_for(network, report, str(source), numerics)
    say(f"Writing {target}")
    with removed_on_failure(target):
        written = _write(network, target, to, allow_difference)
        if to == "separable":
            network = load_model(target)  # what is compared is what was written
        if verify:
            certificate = _compared(
                certificate, network, lambda: _reference(network, opened, recognised, target, to), say
            )
            if to != "separable" and (recognised.port is not None or opened.layers is not None):
                certificate = _also_written(certificate, network, target, to, say)
        certificate = replace(certificate, written=written)
        text = json.dumps(certificate.to_json(), indent=2, ensure_ascii=False, default=str) + "\n"
        write_text_atomically(certificate_path(target), text)
    return certificate


def certificate_path(target: Path) -> Path:
    """Where the certificate of `target` is: in a folder, or beside a file."""
    return target / "certificate.json" if target.is_dir() else target.with_name(f"{target.name}.certificate.json")


def _refuse_overwriting(source: Path, target: Path, to: str) -> None:
    if not source.exists() and not str(source).startswith(HUB_PREFIX):
        raise UsageError(f"There is no {source}", expected="a weight file, a model folder or a run")
    refuse_existing(target)
    if to == "keras":
        refuse_existing(certificate_path(target), folder=False)


def _read(
    source: Source, name: str | None, options: dict[str, Any] | None, numerics: Numerics, release: str | None
) -> tuple[ImageModel, LoadReport, Recognised]:
    if source.config and "name" in source.config:
        return _ours(source, name, options, numerics)
    found = recognise(source, name, options)
    with torch.device("meta"):  # a file may describe a network that no memory could hold
        shapes = build_model(found.model, found.num_classes, **found.options)
    with naming_strangers(source, found.model):
        content = match_source(shapes, source, False, trust_order=_is_published(source), release=release)
        compare(shapes, source.path, content, new_classifier=False)
    network = build_model(found.model, found.num_classes, **found.options)
    report = fill(network, source.path, content, new_classifier=False, numerics=numerics)
    port = next((port for port in PORTS if port.name == content.format), None)
    framework = found.framework if port is None else port.framework
    return network, report, replace(found, port=port, framework=framework)


def _ours(
    source: Source, name: str | None, options: dict[str, Any] | None, numerics: Numerics
) -> tuple[ImageModel, LoadReport, Recognised]:
    network = load_model(source.path)
    if name not in (None, network.name) or options:
        raise UsageError(
            f"{source.path} says itself which network it is",
            got=f"--model {name}" if name not in (None, network.name) else f"options {options}",
            expected=f"{network.name} with its own options",
        )
    if numerics == "keras":
        network.adopt(own_numerics(network, network.input_contract))
    names = (name for name in source.tensors or () if not name.endswith("num_batches_tracked"))
    report = LoadReport("separable", tuple(names), notes=source.notes)
    return network, report, Recognised(network.name, network.num_classes, network.options)


def _is_published(source: Source) -> bool:
    """Whether this is a file that Keras publishes, whose layers stand in the order that Keras reads them in."""
    known = {entry.sha256 for name in ("inception_v3", "xception") for entry in model_spec(name).keras_weights}
    if source.kind != "hdf5":
        return False
    with open(source.path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() in known


def _write(network: ImageModel, target: Path, to: str, allow_difference: bool) -> dict[str, Any]:
    if to == "timm":
        from separable.weights.export_timm import save_timm

        return save_timm(network, target, allow_difference=allow_difference)
    if to == "keras":
        from separable.weights.export_keras import save_keras

        if not target.parent.is_dir():
            raise OutputError(f"There is no folder {target.parent}", fix="Make it first, or choose another place")
        return save_keras(network, target, allow_difference=allow_difference)
    save_model(network, target)
    return {}


def _compared(certificate: Certificate, network: ImageModel, find: Callable[[], Reference], say: Say) -> Certificate:
    """`certificate` with the logits' differences from what `find` gives, or with the reason why there are none."""
    try:
        reference = find()
        sizes = certificate_sizes(network.input_contract, reference.fixed_size)
        differences = measure_differences(network, reference, sizes, say)
    except SeparableError as error:
        return replace(certificate, unverified=str(error))
    except Exception as error:  # the other framework's code on somebody's weights may raise anything
        reason = " ".join(f"{type(error).__name__} {error}".split())[:300].rstrip(".")
        return replace(certificate, unverified=f"The comparison failed. Got: {reason}.")
    whole = f"{reference.framework} {reference.version}'s {reference.network}{reference.scope}"
    return replace(certificate, reference=whole, differences=differences)


def _also_written(certificate: Certificate, network: ImageModel, target: Path, to: str, say: Say) -> Certificate:
    """`certificate` of a source that was compared, with the written file's differences as its framework reads it."""
    if not certificate.differences:
        return certificate
    second = _compared(certificate, network, lambda: _written(network, target, to), say)
    if second.unverified is not None:
        note = f"what was written was not opened by {to}: {second.unverified}"
        return replace(certificate, notes=(*certificate.notes, note))
    return replace(
        certificate,
        reference=f"{certificate.reference}; then what was written, in {second.reference}",
        differences=(*certificate.differences, *second.differences),
    )


def _reference(network: ImageModel, source: Source, found: Recognised, target: Path, to: str) -> Reference:
    """The source's own network; for a model of ours the target's, with what was written, or that model before."""
    if not network.num_classes:
        raise WeightsMismatchError("The file has no classifier, so there are no logits to compare")
    if found.port is not None and source.tensors is not None:
        return torch_reference(found.port, network, source.tensors, source.path)
    if source.layers is not None and source.kind != "npz":
        return _of_keras(network, source)
    if to in ("keras", "timm"):
        return _written(network, target, to)
    if source.config:
        return _itself(source)
    raise WeightsMismatchError("No framework is known that these weights come from")


def _of_keras(network: ImageModel, source: Source) -> Reference:
    """keras.applications' network with the file's weights, where its own borders and head are those of the file."""
    config = read_keras_config(source.path)
    if network.name == "mobilenet_v1" and network.input_contract.padding == "tf_same":
        raise WeightsMismatchError("The file's convolutions pad by themselves, which those of Keras' MobileNet do not")
    if network.name == "mobilenet_v1" and source.layers and any(one.kind == "dense" for one in source.layers.layers):
        raise WeightsMismatchError("The file ends in a dense layer, and Keras' own MobileNet in a convolution")
    found = keras_reference(network, source.path, as_ours=config is not None and bool(config.rescaling))
    scope = " with this file's weights; the file's own head and input layers were not compared"
    return replace(found, scope=scope)


def _written(network: ImageModel, target: Path, to: str) -> Reference:
    """The target's own network with what was written."""
    if to == "keras":
        return keras_reference(network, target, as_ours=True)  # `written` says how to prepare them there
    port = next(port for port in PORTS if port.framework == "timm" and network.name in port.models)
    file = target / "model.safetensors"
    return torch_reference(port, network, read_safetensors(file), file)


def _itself(source: Source) -> Reference:
    from separable import __version__

    original = load_model(source.path)

    def run(pixels: Pixels) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = original(as_input(pixels, original.input_contract))
        return logits

    return Reference("separable", __version__, original.name, run)
