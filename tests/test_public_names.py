"""What `separable.NAME` offers: each name is there on first use, and type checkers know the same ones."""

import re
from pathlib import Path

import separable

NAMES = [
    "accelerate",
    "create_model",
    "list_models",
    "load_model",
    "load_predictor",
    "load_weights",
    "model_spec",
    "ops",
    "profile",
    "save_model",
    "tune_runtime",
]


def test_every_public_name_is_there_and_typed() -> None:
    assert separable.__all__ == NAMES
    source = Path(separable.__file__).read_text()
    assert sorted(re.findall(r"^    from \S+ import (\w+) as \1$", source, re.MULTILINE)) == NAMES
    assert set(NAMES) <= set(dir(separable))
    for name in NAMES:
        assert getattr(separable, name) is not None
        assert getattr(getattr(separable, name), "__name__", "").rpartition(".")[2] == name
