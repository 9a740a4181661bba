"""What made a network give tags: every probability for itself, and the page that says so."""

import re
from dataclasses import replace

import pytest
import torch

from separable.analysis.explain import explain_picture
from separable.models import build_model
from tests.analysis.explained import awake
from tests.analysis.test_explain_page import page_of, subject, words


def test_each_probability_is_the_sigmoid_of_its_logit() -> None:
    torch.manual_seed(0)
    model = awake(build_model("mobilenet_v1", 3, width=0.125)).eval()
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        logits = model(picture)[0].double()
    options = {"layer": None, "method": "gradcam", "baseline": -1.0}
    tags = explain_picture(model, picture, independent=True, **options)  # type: ignore[arg-type]
    classes = explain_picture(model, picture, **options)  # type: ignore[arg-type]
    assert tags.probabilities.tolist() == pytest.approx((1 / (1 + torch.exp(-logits))).tolist())
    assert classes.probabilities.sum() == pytest.approx(1.0)
    assert tags.probabilities.sum() != pytest.approx(1.0)
    assert tags.top == classes.top


def test_the_page_speaks_of_tags() -> None:
    made = subject()
    tagging = replace(made, contract=replace(made.contract, answer="sigmoid"))
    for one, present, absent in (
        (tagging, "each of which is answered for itself", "with a confidence of"),
        (made, "with a confidence of", "answered for itself"),
    ):
        text = words(page_of(one)[0])
        assert present in text
        assert absent not in text
    first, second = (made.name(index) for index in made.explanation.top[:2])
    text = words(page_of(tagging)[0])
    assert re.search(rf"The most probable tags that mobilenet_v1 finds: {first} \(\d", text)
    assert f"{first} \N{MIDDLE DOT} the most probable, " in text
    assert f"{second} \N{MIDDLE DOT} the second most probable, " in text


def test_the_size_that_the_network_gets_is_told() -> None:
    """It was taken for the width of the chart beside it."""
    assert "What the network gets: 64x64 pixels, " in words(page_of(subject())[0])
