import json
from dataclasses import replace

import pytest

from separable.errors import WeightsFormatError
from separable.models import InputContract, build_model, model_spec


def test_survives_json() -> None:
    for name in ("xception", "mobilenet_v1"):
        contract = replace(model_spec(name).input, class_names=("cat", "dog"), resize="squash", filter="bicubic")
        assert InputContract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


def test_old_files_get_the_defaults_and_broken_ones_are_named() -> None:
    assert InputContract.from_json({"size": [9, 8], "mean": [0, 0, 0], "std": [1, 1, 1]}).crop_fraction == 0.875
    with pytest.raises(WeightsFormatError, match=r"missing \['size'\], unknown \['scale'\]"):
        InputContract.from_json({"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 2})


def test_new_classifier_forgets_names_of_another_number() -> None:
    model = build_model("mobilenet_v1", 2, width=0.25)
    model.input_contract = replace(model.input_contract, class_names=("cat", "dog"))
    model.reset_classifier(2)
    assert model.input_contract.class_names == ("cat", "dog")
    model.reset_classifier(3)
    assert model.input_contract.class_names == ()
