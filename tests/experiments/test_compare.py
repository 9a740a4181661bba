"""Networks as people type them, the experiment made of them, and pairs with Holm's correction."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.data.folder import read_folder
from separable.data.loader import LoaderConfig
from separable.errors import UnknownModelError, UsageError
from separable.experiments.campaign import Campaign
from separable.experiments.compare import comparison, corrected, read_contender, title_of
from separable.experiments.counts import published_counts, scaled_counts
from separable.experiments.render import to_markdown, to_text
from separable.experiments.render.page import to_page
from separable.experiments.results import ClaimResult, Result
from separable.experiments.schema import Setup
from separable.experiments.sources import Source
from separable.experiments.statistics import compare_paired
from separable.experiments.trained import compare_trained
from separable.models import build_model
from separable.training.evaluate import evaluate
from separable.training.recipes import find_recipe
from tests.experiments.examples import table1
from tests.training.killable import write_pictures

SETUP = Setup(data="own", recipe="small", epochs=2, batch_size=16, image_size=32, seeds=(0, 1))
FACTORY = "from torch import nn\ndef small(num_classes):\n    return nn.Sequential(nn.AdaptiveAvgPool2d(1), "
FACTORY += "nn.Flatten(), nn.Linear(3, num_classes))\n"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Narrow networks wait for a second thread longer than they compute, where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "model", "options"),
    [
        ("xception", "xception", {}),
        ("xception:width=0.5,residual=false", "xception", {"width": 0.5, "residual": False}),
        ("resnet50:repeats=[1,2,3,1],width=0.25", "resnet50", {"repeats": [1, 2, 3, 1], "width": 0.25}),
        ("xception:intermediate_activation=", "xception", {"intermediate_activation": None}),
    ],
)
def test_as_typed(text: str, model: str, options: dict[str, Any]) -> None:
    found = read_contender(text)
    assert (found.typed, found.model, dict(found.options)) == (text, model, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("xception:", "is not a network with its options"),
        ("xception:width", "is not a network with its options"),
        ("xception:=3", "is not a network with its options"),
        ("xception:widht=0.5", "has no option widht"),
        ("xception:width={", "cannot be read"),
        ("nowhere.py:small", "cannot be read"),
        ("my.py:", "Which function returns the network"),
        ("my.py:a b", "Which function returns the network"),
    ],
)
def test_what_is_no_network(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_contender(text)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(UnknownModelError, match="Perhaps you meant xception"):
        read_contender("xceptoin")


def test_the_experiment(tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text(FACTORY)
    mine = f"{file}:small"
    three = [read_contender(one) for one in ("xception:width=0.25", "mobilenet_v1", mine)]
    made = comparison(three, "classify", SETUP, data="flowers", pictures="f", classes=5)
    assert [arm.name for arm in made.arms] == ["xception:width=0.25", "mobilenet_v1", mine]
    assert [(claim.left, claim.right) for claim in made.claims] == [
        ("xception:width=0.25", "mobilenet_v1"), ("xception:width=0.25", mine), ("mobilenet_v1", mine),
    ]  # fmt: skip
    assert made.measures == ("top1", "parameters", "macs", "milliseconds", "memory")
    assert comparison(three, "classify", SETUP, data="flowers", pictures="f", classes=10).measures[:2] == (
        "top1",
        "top5",
    )
    assert comparison(three, "tag", SETUP, data="flowers", pictures="f", classes=0).measures[0] == "map100"
    assert made.title == "3 networks on flowers", "a long path is among them"
    assert title_of(["a", "b", "c"], "flowers") == "a, b and c on flowers"
    names = {
        comparison(three, "classify", setup, data=data, pictures=pictures, classes=5).name
        for setup in (SETUP, replace(SETUP, epochs=3))
        for data in ("flowers", "trees")
        for pictures in ("f", "other ones in a folder of that name")
    }
    file.write_text(FACTORY + "# edited\n")
    edited = comparison([*three[:2], read_contender(mine)], "classify", SETUP, data="flowers", pictures="f", classes=5)
    assert len(names | {edited.name}) == 9, "what differs in anything does not overwrite another"
    assert all(name.startswith("compare/xception-mobilenet_v1-") for name in names)
    assert comparison(three, "classify", SETUP, data="flowers", pictures="f", classes=5).name == made.name


def test_a_recipe_that_was_changed_is_another_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = [read_contender(one) for one in ("xception", "mobilenet_v1")]
    before = comparison(pair, "classify", SETUP, data="d", pictures="f", classes=5)
    changed = replace(find_recipe("small"), scaling="none", global_batch=7)
    monkeypatch.setattr("separable.experiments.compare.find_recipe", lambda name: changed)
    assert comparison(pair, "classify", SETUP, data="d", pictures="f", classes=5).name != before.name


def test_what_cannot_be_compared() -> None:
    one, unet = read_contender("xception"), read_contender("unet_xception")
    with pytest.raises(UsageError, match="needs two networks"):
        comparison([one], "classify", SETUP, data="d", pictures="f", classes=5)
    with pytest.raises(UsageError, match=r"stands there twice. Got: xception"):
        comparison([one, one], "classify", SETUP, data="d", pictures="f", classes=5)
    with pytest.raises(UsageError, match="unet_xception answers for every pixel"):
        comparison([one, unet], "classify", SETUP, data="d", pictures="f", classes=5)
    with pytest.raises(UsageError, match="xception classifies pictures"):
        comparison([unet, one], "segment", SETUP, data="d", pictures="f", classes=5)


def test_foreign_networks_are_counted(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(FACTORY)
    pair = [read_contender(one) for one in ("mobilenet_v1:width=0.25", f"{tmp_path}/my.py:small")]
    made = comparison(pair, "classify", SETUP, data="d", pictures="f", classes=4)
    counts = scaled_counts(SETUP, made.arms[1], 4)
    assert (counts.parameters, counts.macs, counts.side) == (3 * 4 + 4, 3 * 4, 32)
    assert published_counts(made.arms[1]) is None
    source = Source("classify", str(tmp_path), "d", "", "f", 40, 20, tuple("abcd"))
    keys = {Campaign(made, SETUP, (0, 1), source, tmp_path).trial(arm, 1.0).key for arm in made.arms}
    (tmp_path / "my.py").write_text(FACTORY + "# edited\n")
    edited = comparison([pair[0], read_contender(pair[1].typed)], "classify", SETUP, data="d", pictures="f", classes=4)
    again = {Campaign(edited, SETUP, (0, 1), source, tmp_path).trial(arm, 1.0).key for arm in edited.arms}
    assert len(keys) == 2
    assert len(keys & again) == 1, "an edited file is another network"


def pair(confidence: float | None, ours: float = 0.02, sentence: str = "not seen here: x; a difference") -> ClaimResult:
    interval = None if confidence is None else (ours - 0.01, ours + 0.01)
    return ClaimResult(
        "a against b", "top1", "a", "above", "b", 0.0, None, ours, interval, confidence, "holds", sentence
    )


def compared(*claims: ClaimResult) -> Result:
    return corrected(replace(table1(), claims=claims, scale="own"), "separable compare a b")


def test_holm_decides() -> None:
    """Two-sided p of 0.01, 0.03 and 0.04 by three: 0.03, 0.06 and 0.06."""
    found = compared(pair(0.995), pair(0.985), pair(0.02, -0.03), pair(None, sentence="not decided here: y")).claims
    assert [claim.verdict for claim in found] == ["holds", "not seen", "not seen", "holds"]
    assert found[0].sentence == (
        "a is better: +2.0 points (+1.0 to +3.0), p = 0.030 after Holm's correction for 3 pairs; a difference"
    )
    assert found[1].sentence == (
        "not told apart: +2.0 points (+1.0 to +3.0), p = 0.060 after Holm's correction for 3 pairs; a difference"
    )
    assert found[3].sentence == "not decided here: y"
    alone = compared(pair(0.0001, -0.03, "holds")).claims[0]
    assert alone.verdict == "reversed"
    assert alone.sentence == "b is better: -3.0 points (-4.0 to -2.0), p < 0.001"


def test_own_networks_have_pairs_and_no_claims() -> None:
    result = compared(pair(0.999), pair(0.6))
    for render in (to_text, to_markdown, to_page):
        said = render(result)
        assert "Pairs" in said
        assert "Claims" not in said
        assert "told apart" in said.lower()
        assert "not the published setting" not in said
        assert "separable compare a b" in " ".join(said.replace("<span>", "").replace("</span>", "").split())


def trained_pair(tmp_path: Path) -> tuple[dict[str, Any], Any]:
    """Two narrow networks on 12 held-out pictures."""
    data = read_folder(write_pictures(tmp_path / "pictures", train=2, val=4))
    models = {}
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        model = build_model("mobilenet_v1", 3, width=0.0625, stem_stride=1).eval()
        model.input_contract = replace(model.input_contract, size=(32, 32), class_names=data.class_names)
        models[name] = model
    return models, data.val


def test_trained_networks_are_compared_by_picture(tmp_path: Path) -> None:
    models, pictures = trained_pair(tmp_path)
    found = compare_trained(models, pictures, LoaderConfig(batch_size=4), what="pictures")
    right = [
        (answer.probabilities.argmax(1) == answer.labels).astype(float)
        for answer in (evaluate(model, pictures, LoaderConfig(batch_size=4)) for model in models.values())
    ]
    expected = compare_paired(right[:1], right[1:])
    (claim,) = found.claims
    assert (claim.ours, *(claim.interval or ())) == pytest.approx((expected.mean, expected.low, expected.high))
    assert claim.confidence == pytest.approx(expected.sure_above())
    assert [arm.mean["top1"] for arm in found.arms] == pytest.approx([one.mean() for one in right])
    assert [arm.parameters for arm in found.arms] == [16_671, 16_671]
    assert all(len(arm.timing["milliseconds"]) == 5 for arm in found.arms)
    assert Result.from_json(found.to_json()) == found
    said = to_text(corrected(found, "separable compare one other"))
    assert "that is between these two networks" in " ".join(said.split())
    assert "recipe" not in said
    with pytest.raises(UsageError, match="needs two networks"):
        compare_trained({"one": models["one"]}, pictures, LoaderConfig(batch_size=4), what="pictures")
