import json
import math
from dataclasses import replace

import pytest

from separable.errors import WeightsFormatError
from separable.models import InputContract, build_model, model_spec


def test_survives_json() -> None:
    for name in ("xception", "mobilenet_v1"):
        contract = replace(model_spec(name).input, class_names=("cat", "dog"), resize="squash", filter="bicubic")
        assert InputContract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


def test_the_answer_is_stored_only_where_it_is_no_softmax() -> None:
    contract = model_spec("xception").input
    assert contract.answer == "softmax"
    assert "answer" not in contract.to_json(), "files of networks that classify stay what they are"
    tagging = replace(contract, answer="sigmoid")
    assert tagging.to_json() == {**contract.to_json(), "answer": "sigmoid"}
    assert InputContract.from_json(json.loads(json.dumps(tagging.to_json()))) == tagging


def test_old_files_get_the_defaults_and_broken_ones_are_named() -> None:
    assert InputContract.from_json({"size": [9, 8], "mean": [0, 0, 0], "std": [1, 1, 1]}).crop_fraction == 0.875
    with pytest.raises(WeightsFormatError, match=r"missing \['size'\], unknown \['scale'\]"):
        InputContract.from_json({"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 2})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "size",
            "ab",
            r"illegal size\. Got: 'ab'\. Expected: height and width, whole numbers from 1 to 16384\. .*damaged",
        ),
        ("size", [224.0, 224.0], r"illegal size\. Got: \[224\.0, 224\.0\]"),
        ("size", [10**9, 10**9], r"illegal size"),
        ("size", [True, True], r"illegal size"),
        ("mean", None, r"illegal mean\. Got: None\. Expected: 3 finite numbers\."),
        ("mean", [0, 0, math.nan], r"illegal mean\. Got: \[0, 0, nan\]"),
        ("mean", [0, 0, 10**400], r"illegal mean"),
        ("std", [0, 0, 0], r"illegal std\. Got: \[0, 0, 0\]\. Expected: 3 finite numbers above 0"),
        ("std", [1, 1, math.inf], r"illegal std"),
        ("std", [1, 1], r"illegal std"),
        ("pixel_range", 3, r"illegal pixel_range\. Got: 3\. Expected: 2 finite numbers, the second above 0"),
        ("pixel_range", [0, 0], r"illegal pixel_range"),
        ("colour_order", "CMYK", r"illegal colour_order\. Got: 'CMYK'\. Expected: RGB or BGR"),
        ("resize", ["shorter"], r"illegal resize\. .*Expected: shorter or squash"),
        ("filter", "lanczos", r"illegal filter\. Got: 'lanczos'\. Expected: bilinear or bicubic"),
        ("padding", "same", r"illegal padding\. Got: 'same'\. Expected: tf_same or keras_mobilenet"),
        ("crop_fraction", "x", r"illegal crop_fraction\. Got: 'x'\. Expected: a number from 0\.01 to 1"),
        ("batch_norm_eps", -1, r"illegal batch_norm_eps"),
        ("min_size", "a", r"illegal min_size\. Got: 'a'\. Expected: a whole number"),
        ("class_names", 5, r"illegal class_names\. Got: 5\. Expected: a list of texts"),
        ("class_names", "cat", r"illegal class_names"),
        ("class_names", ["cat", 2], r"illegal class_names"),
        ("answer", "relu", r"illegal answer\. Got: 'relu'\. Expected: softmax or sigmoid"),
        ("answer", None, r"illegal answer"),
    ],
)
def test_values_that_no_contract_has(field: str, value: object, message: str) -> None:
    stored = model_spec("mobilenet_v1").input.to_json()
    with pytest.raises(WeightsFormatError, match=message):
        InputContract.from_json({**stored, field: value})


def test_new_classifier_forgets_names_of_another_number() -> None:
    model = build_model("mobilenet_v1", 2, width=0.25)
    model.input_contract = replace(model.input_contract, class_names=("cat", "dog"))
    model.reset_classifier(2)
    assert model.input_contract.class_names == ("cat", "dog")
    model.reset_classifier(3)
    assert model.input_contract.class_names == ()
