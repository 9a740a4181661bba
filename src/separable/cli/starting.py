"""Which weights a training starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.cli.settings import Wishes, network_options
from separable.errors import DownloadError, UsageError

if TYPE_CHECKING:
    from separable.models import ImageModel
    from separable.training.config import TrainConfig

__all__ = ["starting_weights"]


def starting_weights(
    wishes: Wishes, recorded: "TrainConfig | None", progress: Callable[[int, int | None], None] | None = None
) -> tuple[str | None, str | None]:
    """(weights for the configuration, a sentence on why not the published ones). `auto` takes those where it can.

    Raises:
        UsageError: neither auto, none, keras nor a file. DownloadError: `keras` was demanded and cannot be had.
    """
    if wishes.weights == "none":
        return None, None
    if wishes.weights not in ("auto", "keras"):
        if not Path(wishes.weights).exists():
            raise UsageError(f"There is no weight file {wishes.weights}", expected="auto, none, keras or a file")
        return wishes.weights, None
    if recorded is not None:
        return recorded.model.weights, None  # its encoder's, `configure` takes from the record itself
    try:
        reason = _fetch_published(wishes, progress)
    except DownloadError as error:
        if wishes.weights == "keras":
            raise
        reason = f"The published weights cannot be had: {error.what.rstrip('.')}."
    return (None, reason) if reason and wishes.weights == "auto" else ("keras", None)


def _fetch_published(wishes: Wishes, progress: Callable[[int, int | None], None] | None) -> str | None:
    """Bring the published file into the cache; or the reason why there is none for this network, or its encoder."""
    import torch

    from separable.download import fetch
    from separable.models import build_model, model_spec

    with torch.device("meta"):
        model = build_model(wishes.model, **network_options(wishes))
        wanted = getattr(model, "encoder", model)
        plain = build_model(wanted.name).options
    for entry in model_spec(wanted.name).keras_weights:
        if entry.has_classifier and _kernels(wanted.options) == _kernels({**plain, **entry.options}):
            if entry.sha256 is None:
                return "Its published weights come without a hash to check: download them, and give --weights FILE."
            fetch(entry.url, entry.sha256, progress=progress, attempts=2, timeout=10.0)
            return None
    some = " with these options" if model_spec(wanted.name).keras_weights else ""
    return f"No weights are published for {_called(wishes.model, wanted)}{some}".rstrip(",") + "."


def _kernels(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a file of weights depends on: without those that change what is done with them."""
    return {name: value for name, value in options.items() if name not in ("dropout", "features_only", "output_stride")}


def _called(model: str, wanted: "ImageModel") -> str:
    return model if wanted.name == model else f"{wanted.name}, the encoder of {model},"
