"""The network a training starts from: published weights, weights of a file, or from scratch; one sentence which."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from separable.data.folder import PictureSet
from separable.data.loader import LoaderConfig, eval_batches
from separable.data.preprocess import normalise
from separable.errors import InputSizeError
from separable.models import build_model, model_spec
from separable.models.base import ImageModel
from separable.training.config import ModelConfig, TrainConfig
from separable.training.foreign import foreign_model, is_foreign
from separable.training.task import Samples
from separable.weights import create_model, unfold_batch_norm

__all__ = ["build_for", "loaded_model", "model_options", "starting_model"]

_UNFOLD_PICTURES = 512


def build_for(config: TrainConfig, class_names: tuple[str, ...]) -> ImageModel:
    """The network of `config` with random weights (keyed by its seed) and the input contract of this training."""
    torch.manual_seed(config.seed)
    if is_foreign(config.model.name):
        size = config.model.image_size or config.recipe.image_size
        foreign = foreign_model(config.model.name, len(class_names), size=size, **config.model.options)
        return _with_contract(foreign, config, class_names)
    model = build_model(config.model.name, num_classes=len(class_names), **model_options(config))
    return _with_contract(model, config, class_names)


def loaded_model(config: TrainConfig, class_names: tuple[str, ...]) -> ImageModel:
    """The network with its starting weights and their input contract, as far as `config` does not say otherwise."""
    if config.model.weights is None and config.model.encoder_weights is None:
        return build_for(config, class_names)
    torch.manual_seed(config.seed)
    options = model_options(config)
    model = create_model(
        config.model.name,
        len(class_names),
        weights=config.model.weights,
        encoder_weights=config.model.encoder_weights,
        **options,
    )
    return _with_contract(model, config, class_names)


def starting_model(config: TrainConfig, pictures: Samples, loader: LoaderConfig) -> tuple[ImageModel, str]:
    """The network at step 0, and the sentence that says where its weights come from."""
    model = loaded_model(config, pictures.class_names)
    if config.model.weights is None and config.model.encoder_weights is None:
        return model, f"Starting {config.model.name} from scratch."
    sentence = f"Starting {config.model.name} from {_named(config.model)}."
    folded = _folded_part(model) if config.recipe.regularisation.unfold_batch_norm else None
    if folded is not None:
        unfold_batch_norm(folded, _some_pictures(model, pictures, loader))
        sentence += " Its batch norm was folded into the kernels: statistics measured on the training pictures."
    return model, sentence


def model_options(config: TrainConfig) -> dict[str, Any]:
    """The builder's options: the user's, and the recipe's dropout where the network has one and the user is silent."""
    options, dropout = dict(config.model.options), config.recipe.regularisation.dropout
    if dropout is not None and "dropout" in model_spec(config.model.name).options:
        options.setdefault("dropout", dropout)
    return options


def _with_contract(model: ImageModel, config: TrainConfig, class_names: tuple[str, ...]) -> ImageModel:
    changes: dict[str, Any] = {"class_names": tuple(class_names)}
    changes["answer"] = "sigmoid" if config.task == "tag" else "softmax"
    size = config.model.image_size or config.recipe.image_size
    if size is not None:
        changes["size"] = size
    if config.model.resize is not None:
        changes["resize"] = config.model.resize
    if config.model.crop_fraction is not None:
        changes["crop_fraction"] = config.model.crop_fraction
    model.input_contract = contract = replace(model.input_contract, **changes)
    if min(contract.size) < contract.min_size:
        raise InputSizeError(
            f"Pictures of {contract.size[0]}x{contract.size[1]} are too small for {model.name}",
            expected=f"sides of {contract.min_size} or more",
            fix="Choose a larger image size",
        )
    return model


def _named(model: ModelConfig) -> str:
    whole, encoder = (
        "the published Keras weights" if weights == "keras" else weights
        for weights in (model.weights, model.encoder_weights)
    )
    if encoder is None:
        return f"{whole}"
    return f"{'scratch' if whole is None else whole}, its encoder from {encoder}"


def _folded_part(model: ImageModel) -> ImageModel | None:
    """The network, or the encoder in it, whose weights came with batch norm folded into the kernels."""
    parts = (model, *(part for part in model.children() if isinstance(part, ImageModel)))
    return next((part for part in parts if _is_folded(part)), None)


def _is_folded(model: ImageModel) -> bool:
    """Whether no batch norm has statistics of its own: every mean 0, every variance 1 - eps, which scales by 1.

    Fresh statistics are 0 and 1: such a network was saved before it was trained, and its batch norm is whole.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    return bool(norms) and all(
        not norm.get_buffer("running_mean").any()
        and torch.equal(v := norm.get_buffer("running_var"), torch.full_like(v, 1.0 - norm.eps))
        for norm in norms
    )


def _some_pictures(model: ImageModel, pictures: Samples, loader: LoaderConfig) -> Iterator[torch.Tensor]:
    """Training pictures as evaluation sees them, evenly spaced over the set."""
    stride = max(1, len(pictures.paths) // _UNFOLD_PICTURES)
    paths = pictures.paths[::stride]
    chosen = PictureSet(pictures.root, paths, np.zeros(len(paths), np.int64), pictures.class_names)
    for batch in eval_batches(chosen, model.input_contract, loader):
        yield normalise(batch.images, model.input_contract)
