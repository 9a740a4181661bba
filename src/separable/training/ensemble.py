"""Several networks, and several views of a picture, that answer as one: the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from separable.data.imagenet import plain_name
from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.contract import InputContract

__all__ = ["Doubles", "MeanAnswer", "Means", "by_preparation", "demand_alike"]

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_NAMED = 3


def demand_alike(models: Sequence[ImageModel], class_names: Sequence[str], names: Sequence[str]) -> None:
    """Refuse networks whose answers cannot be averaged: their classes, in order, are those of the pictures.

    A network that does not name its classes has to have as many.

    Args:
        models: at least one.
        class_names: of the pictures.
        names: what the networks are called.

    Raises:
        UsageError: one of them has other classes, the same ones in another order, or does not choose one class.
    """
    for model, name in zip(models, names, strict=True):
        has = model.input_contract.class_names or class_names
        if model.input_contract.answer != "softmax":
            raise UsageError(
                "Answers can be averaged of networks that choose one class a picture",
                got=f"{name}, which answers for every class by itself",
            )
        if [*map(plain_name, has)] == [*map(plain_name, class_names)] and model.num_classes == len(class_names):
            continue
        raise UsageError(
            f"{name} has other classes than the pictures",
            got=_difference(has, class_names, model.num_classes),
            expected="networks that were trained on the same classes",
            fix="Leave it out, or evaluate it by itself",
        )


def by_preparation(models: Sequence[ImageModel]) -> list[tuple[InputContract, list[ImageModel]]]:
    """Networks together that are shown the same pixels, so that a picture is read once for all of them."""
    groups: dict[object, tuple[InputContract, list[ImageModel]]] = {}
    for model in models:
        contract = model.input_contract
        # The rest of the contract is about what `normalise` and the layers make of the pixels.
        pixels = (contract.size, contract.resize, contract.crop_fraction, contract.filter)
        groups.setdefault(pixels, (contract, []))[1].append(model)
    return list(groups.values())


@dataclass(frozen=True)
class Means:
    """Of N pictures: which they are in the set, their labels, (N, classes) probabilities, log of that of the label."""

    samples: Integers
    labels: Integers
    probabilities: Doubles
    log_right: Doubles


@final
class MeanAnswer:
    """The mean of softmax probabilities over views and networks, in float64, picture by picture.

    What is kept does not grow with the number of views or networks: a row of `classes` for each of `pictures`.
    """

    def __init__(self, pictures: int, classes: int) -> None:
        self._sums = np.zeros((pictures, classes))
        self._right = np.full(pictures, -np.inf)  # log of the summed probabilities of the label: no underflow
        self._views = np.zeros(pictures, np.int64)
        self._labels = np.zeros(pictures, np.int64)

    def add(self, samples: Integers, labels: Integers, logits: Doubles) -> None:
        """Take in what one network said of every view.

        Args:
            samples: (B,) which pictures of the set.
            labels: (B,) their classes.
            logits: (B, views, classes) float64.
        """
        logs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
        self._sums[samples] += np.exp(logs).sum(axis=1)
        of_label = logs[np.arange(len(labels)), :, labels]
        self._right[samples] = np.logaddexp(self._right[samples], np.logaddexp.reduce(of_label, axis=1))
        self._views[samples] += logits.shape[1]
        self._labels[samples] = labels

    def result(self, views: int) -> Means:
        """Of the pictures that were seen in all `views`; one that some networks could not be shown is not there."""
        whole = np.flatnonzero(self._views == views)
        return Means(whole, self._labels[whole], self._sums[whole] / views, self._right[whole] - np.log(views))


def _difference(has: Sequence[str], wanted: Sequence[str], outputs: int) -> str:
    if tuple(has) == tuple(wanted):
        return f"{outputs} outputs for {len(wanted)} classes"
    if sorted(has) == sorted(wanted):
        return "the same classes in another order"
    only = sorted(set(has) - set(wanted)), sorted(set(wanted) - set(has))
    said = [
        f"{', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''} {where}"
        for names, where in zip(only, ("only there", "not there"), strict=True)
        if names
    ]
    return "; ".join(said)
