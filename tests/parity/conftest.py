"""The Keras networks, each built and calibrated once, and the test files made from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.parity.keras_net import KerasNet


@pytest.fixture(scope="session")
def keras_net(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., KerasNet]:
    """`keras_net("xception")`, `keras_net("mobilenet_v1", alpha=0.5)`: built at the first call, then kept."""
    made: dict[tuple[Any, ...], KerasNet] = {}

    def get(name: str, **options: Any) -> KerasNet:
        key = (name, *sorted(options.items()))
        if key not in made:
            made[key] = KerasNet(name, **options)
        return made[key]

    return get


@pytest.fixture(scope="session")
def keras_file(keras_net: Callable[..., KerasNet], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`keras_file("xception", ".h5")`: the network saved by Keras in that format, once."""
    folder = tmp_path_factory.mktemp("keras")

    def get(name: str, ending: str, **options: Any) -> Path:
        path = folder / f"{name}{''.join(map(str, options.values()))}{ending}"
        return path if path.exists() else keras_net(name, **options).save(path)

    return get
