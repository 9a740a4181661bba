"""A network by name, with weights."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from separable.download import fetch
from separable.errors import (
    DownloadError,
    ModelOptionError,
    UnpublishedWeightsError,
    WeightsFormatError,
    WeightsMismatchError,
)
from separable.models.base import ImageModel
from separable.models.build import build_model, list_models, model_spec
from separable.models.spec import PublishedWeights
from separable.weights.compare import Content, LoadReport
from separable.weights.content import match_source
from separable.weights.folder import weight_file
from separable.weights.hub_files import HUB_PREFIX, fetch_repository, split_hub_id
from separable.weights.load import Numerics, byte_limit, fill, load_weights
from separable.weights.recognise import naming_strangers
from separable.weights.source import open_source

__all__ = ["create_model", "fetchable_models"]


def create_model(
    name: str,
    num_classes: int | None = None,
    weights: Path | str | None = None,
    *,
    cache_dir: Path | str | None = None,
    url_base: str | None = None,
    numerics: Numerics = "source",
    release: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    encoder_weights: Path | str | None = None,
    **options: Any,
) -> ImageModel:
    """Build a network, and load weights into it.

    With an explicit `num_classes` other than the weights have, the classifier is a new one that gives every class the
    same: a random one would send its noise into the trained layers before it has learnt anything.

    Args:
        name: one of `list_models()`.
        num_classes: None for as many as the weights have, without weights as `build_model` takes it; 0 leaves out the
            classifier.
        weights: None for fresh ones; "keras" for the file that Keras publishes, downloaded once;
            "hf-hub:owner/name", with "@revision" if wanted, for a repository of the Hugging Face hub; or the path of a
            weight file, model folder or run, as `load_weights` takes them.
        cache_dir: where downloads are kept; `$SEPARABLE_CACHE` or `~/.cache/separable`, and for the hub its own cache,
            if None.
        url_base: fetch the published file from this address plus its name, for mirrors.
        numerics, release: of another framework's weights, see `load_weights`.
        progress: called with (bytes so far, bytes in all or None) during a download.
        encoder_weights: for the encoder of a network that segments, all that `weights` may be, and a classifier's; the
            pictures are then prepared as that classifier's were, and its numerics are taken over.
        options: of the model; see `model_spec(name).options`.

    Raises:
        UnknownModelError, ModelOptionError: no such model or option.
        DownloadError, HashMismatchError: "keras" weights, or a repository, that cannot be had.
        WeightsFormatError, WeightsMismatchError: a file that cannot be read, or is another network's.
    """
    if encoder_weights is not None:
        model = create_model(name, num_classes, weights, cache_dir=cache_dir, url_base=url_base, **options)
        downloads = {"cache_dir": cache_dir, "url_base": url_base, "progress": progress}
        _fill_encoder(model, encoder_weights, numerics=numerics, release=release, **downloads)
        return model
    if isinstance(weights, str) and weights.startswith(HUB_PREFIX):
        weights = fetch_repository(*split_hub_id(weights), cache_dir)
    if isinstance(weights, str) and weights != "keras":
        _demand_path(weights)
    if num_classes is None and weights is not None and weights != "keras":
        return _with_its_classes(name, Path(weights), options, numerics, release)
    classes = model_spec(name).num_classes if num_classes is None else num_classes
    if weights == "keras":
        path = _fetch_published(name, classes, options, url_base, cache_dir, progress)
        model = build_model(name, classes, **options)
        _silence_new_classifier(model, load_weights(model, path, classes="replace", trust_order=True))
        return model
    model = build_model(name, classes, **options)
    if weights is not None:
        report = load_weights(model, weights, classes="replace", numerics=numerics, release=release)
        _silence_new_classifier(model, report)
    return model


def _fill_encoder(model: ImageModel, weights: Path | str, **settings: Any) -> None:
    """Load a classifier's weights into the encoder of `model`, and let `model` follow their contract."""
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, ImageModel):
        with_encoders = [name for name in list_models("segment") if "encoder_options" in model_spec(name).options]
        raise ModelOptionError(
            f"{model.name} has no encoder to load weights into",
            got=f"encoder_weights={str(weights)!r}",
            expected=f"one of {', '.join(with_encoders)}",
        )
    trained = create_model(encoder.name, weights=weights, **settings, **encoder.options)
    encoder.load_state_dict(trained.state_dict())
    own = ("size", "resize", "crop_fraction", "min_size", "class_names")
    kept = {name: getattr(model.input_contract, name) for name in own}
    model.adopt(replace(trained.input_contract, **kept))


def fetchable_models() -> list[str]:
    """The names whose published weights are fetched by `weights="keras"`: those with a SHA-256 to check."""
    return [
        name
        for name in list_models()
        if any(entry.has_classifier and entry.sha256 is not None for entry in model_spec(name).keras_weights)
    ]


def _demand_path(weights: str) -> None:
    """Tell a word that was meant for "keras", or for another source, from the name of a file that is not there."""
    if Path(weights).suffix or Path(weights).name != weights or Path(weights).exists():
        return
    close = difflib.get_close_matches(weights.lower(), ["keras"], cutoff=0.6)
    raise WeightsFormatError(
        f"There are no weights {weights!r}",
        got="neither a file nor a folder of this name",
        expected='"keras", "hf-hub:owner/name", or the path of a weight file, a model folder or a run',
        fix='Perhaps you meant "keras"' if close else "Give the path of the file",
    )


def _fetch_published(
    name: str,
    num_classes: int,
    options: dict[str, Any],
    url_base: str | None,
    cache_dir: Path | str | None,
    progress: Callable[[int, int | None], None] | None,
) -> Path:
    """The file that Keras publishes for this network, told before the network is built in earnest."""
    with torch.device("meta"):
        shapes = build_model(name, num_classes, **options)
    published = _published(shapes)
    url = published.url if url_base is None else f"{url_base.rstrip('/')}/{published.url.rsplit('/', 1)[-1]}"
    if published.sha256 is None:
        given = "gives an MD5 alone, which can be forged," if published.md5 else "gives no hash"
        raise DownloadError(
            f"The published weights of this {name} are not downloaded: Keras {given} to check them against",
            fix=f'Download {url}, and give weights="PATH" of it, or what `separable convert PATH FOLDER` makes of it',
        )
    return fetch(url, published.sha256, cache_dir, progress)


def _with_its_classes(
    name: str, path: Path, options: dict[str, Any], numerics: Numerics, release: str | None
) -> ImageModel:
    """The network with as many classes as the file `path` has."""
    with torch.device("meta"):
        shapes = build_model(name, **options)
    path = weight_file(path)
    source = open_source(path, byte_limit(shapes))
    with naming_strangers(source, name):
        content = match_source(shapes, source, new_classifier=False, release=release)
        model = build_model(name, _classes(shapes, path, content), **options)
        fill(model, path, content, new_classifier=False, numerics=numerics)
    return model


def _classes(shapes: ImageModel, path: Path, content: Content) -> int:
    """How many classes the file's classifier has."""
    if shapes.head is None:
        return 1000
    weight = content.tensors.get("head.classifier.weight")
    if weight is None:
        raise WeightsMismatchError(
            f"{path} has no classifier, so it does not tell the number of classes",
            fix="Give num_classes for a new classifier, or num_classes=0 for none",
        )
    fits = weight.dim() > 1 and weight.shape[1] == shapes.head.num_inputs  # if not, filling says what is wrong
    return weight.shape[0] if fits else 1000


@torch.no_grad()
def _silence_new_classifier(model: ImageModel, report: LoadReport) -> None:
    classifier = model.get_classifier()
    own = {id(parameter) for parameter in classifier.parameters()}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in own}
    if names & set(report.missing) and model.head is not None:
        model.head.silence()


def _published(model: ImageModel) -> PublishedWeights:
    """The published file with a classifier whose network is `model`, told before anything is downloaded."""
    entries = [entry for entry in model_spec(model.name).keras_weights if entry.has_classifier]
    for entry in entries:
        options: dict[str, Any] = dict(entry.options)
        with torch.device("meta"):
            theirs = build_model(model.name, **options)
        if _shapes(theirs) == _shapes(model):
            return entry
    raise UnpublishedWeightsError(
        f"Keras publishes no weights for {'this ' if entries else ''}{model.name}",
        got=_listed(model.options, model.name) if entries else None,
        expected=" or ".join(dict.fromkeys(_listed(entry.options, model.name) for entry in entries))
        or f"a network whose published weights are fetched: {', '.join(fetchable_models())}",
        fix="Leave out weights to start from fresh ones, or give the path of a weight file",
    )


def _listed(options: Mapping[str, Any], name: str) -> str:
    """Those that are not the network's defaults."""
    with torch.device("meta"):
        usual = build_model(name).options
    given = (f"{option}={value}" for option, value in options.items() if usual.get(option) != value)
    return ", ".join(given) or "the default options"


def _shapes(model: ImageModel) -> dict[str, tuple[int, ...]]:
    """Of everything that a published file fills: not the classifiers, nor a gamma that may be 1."""
    return {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not name.startswith(("head.classifier.", "aux_head")) and not name.endswith(".bn.weight")
    }
