"""A contestant that runs in Keras: a network of keras.applications' or its segmentation example's, and Keras' own
compiled functions, as its users run them.

This runs in an environment of its own, which has numpy and Keras, and neither torch nor what else this package needs.
"""

import importlib
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from separable.benchmarking.contest import Answer, Contestant, Given, Runner, Task
from separable.benchmarking.peers.keras_example import example_unet
from separable.errors import WeightsMismatchError

__all__ = ["KerasRunner", "open_keras"]

_RATE = 1e-3
_TURNED = "Conv2DTranspose"
"""At stride 1 a convolution whose kernel is turned round; so it is among our weights."""
_GATE_RATE = 1e3
"""With it a step moves the weights so far that rounding the sums loses nothing of the gradient."""


def open_keras(contestant: Contestant, task: Task, given: Given) -> Runner:
    """A contestant on the backend that the option `backend` names.

    Its other options: `network` and `arguments`, the class of keras.applications, or "" for the U-Net of the
    segmentation example, and what it is made with; `weights` and `variables`, the names of the files that
    `prepare_keras` wrote.
    """
    os.environ["KERAS_BACKEND"] = contestant.options["backend"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return KerasRunner(importlib.import_module("keras"), contestant, task, given)


class KerasRunner(Runner):
    """`fit`'s own step, which `train_on_batch` runs, and for inference a traced call."""

    def __init__(self, keras: Any, contestant: Contestant, task: Task, given: Given) -> None:
        self._keras, self._task, options = keras, task, contestant.options
        keras.utils.set_random_seed(task.seed)
        if contestant.precision == "bf16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        self._model = _network(keras, task, options)
        self._model.load_weights(given.folder / options["weights"])
        self._entries = json.loads((given.folder / options["variables"]).read_text())
        pictures = np.ascontiguousarray(given.pictures().transpose(0, 2, 3, 1), np.float32)
        self._pictures = keras.ops.convert_to_tensor(pictures)
        self._labels = keras.ops.convert_to_tensor(given.labels().astype(np.int32))
        self._optimiser = keras.optimizers.SGD(_RATE, momentum=0.9)
        if task.verb == "train":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self._model.compile(optimizer=self._optimiser, loss=loss)
        self._call = self._traced()
        self._first_seconds = 0.0

    def answer(self) -> Answer:
        begun = time.perf_counter()
        found = self._trained() if self._task.verb == "train" else {"logits": self._infer()[: self._task.distinct]}
        self._first_seconds = time.perf_counter() - begun
        return {name: np.asarray(value, np.float32) for name, value in found.items()}

    def step(self) -> float:
        begun = time.perf_counter()
        if self._task.verb == "train":
            self._model.train_on_batch(self._pictures, self._labels)
        else:
            self._infer()
        return time.perf_counter() - begun

    def describe(self) -> dict[str, Any]:
        backend = self._keras.backend.backend()
        versions = {"keras": self._keras.__version__, backend: importlib.import_module(backend).__version__}
        return {
            "versions": versions,
            "parameters": sum(int(np.prod(value.shape)) for value in self._model.trainable_variables),
            "jit_compile": bool(getattr(self._model, "jit_compile", False)),
            "first_answer_seconds": self._first_seconds,
        }

    def _traced(self) -> Callable[[Any], Any]:
        if self._keras.backend.backend() == "tensorflow":
            tensorflow = importlib.import_module("tensorflow")
            traced: Callable[[Any], Any] = tensorflow.function(lambda x: self._model(x, training=False))
            return traced
        return lambda x: self._model.predict_on_batch(x)

    def _infer(self) -> np.ndarray:
        found = self._keras.ops.cast(self._call(self._pictures), "float32")
        logits = np.asarray(self._keras.ops.convert_to_numpy(found))
        return np.moveaxis(logits, -1, 1)

    def _trained(self) -> dict[str, Any]:
        """Loss and gradients of the very step that is timed: the gradient is how far it moves the weights, once.

        Then weights, averages and momentum are put back.
        """
        before, weights = self._parameters(), self._model.get_weights()
        self._optimiser.learning_rate.assign(_GATE_RATE)
        loss = self._model.train_on_batch(self._pictures, self._labels)
        after = self._parameters()
        self._optimiser.learning_rate.assign(_RATE)
        self._model.set_weights(weights)
        for variable in self._optimiser.variables:
            if variable is not self._optimiser.learning_rate:
                variable.assign(np.zeros(variable.shape, np.dtype(str(variable.dtype))))
        return {"loss": loss, **{name: (before[name] - after[name]) / _GATE_RATE for name in before}}

    def _parameters(self) -> dict[str, np.ndarray]:
        """In fp64 under our names and in our shapes."""
        layers: dict[str, list[Any]] = {}
        for layer in self._model.layers:
            layers.setdefault(type(layer).__name__, []).append(layer)
        found = {}
        for keras_class, number, variable, name, axes, shape in self._entries:
            value = layers[keras_class][number].trainable_variables[variable]
            array = np.asarray(self._keras.ops.convert_to_numpy(value), np.float64)
            if array.size != np.prod(shape):
                raise WeightsMismatchError(
                    f"Keras' {keras_class} {number} is not our {name}",
                    got=f"shape {array.shape}",
                    expected=f"as many numbers as {tuple(shape)}",
                    fix=f"Keras {self._keras.__version__} lists its layers in another order: leave keras-tf out of "
                    "--peers, or name an environment with Keras 3.15 by --keras-python",
                )
            array = array.transpose(axes).reshape(shape)
            found[name] = array[..., ::-1, ::-1] if keras_class == _TURNED and array.ndim == 4 else array
        return found


def _network(keras: Any, task: Task, options: dict[str, Any]) -> Any:
    if not options["network"]:
        return example_unet(keras, task.side, task.classes)
    return getattr(keras.applications, options["network"])(
        weights=None,
        input_shape=(task.side, task.side, 3),
        classes=task.classes,
        classifier_activation=None,
        **options["arguments"],
    )
