"""What is chosen by the clock, kept, replayed and undone."""

import copy
import json

import pytest
import torch
from torch import nn

from separable.blocks.accelerate import accelerate, choices_of
from separable.blocks.accelerate.swapped import swapped_modules
from separable.ops.cpu import build
from tests.blocks.accelerate.helpers import Script, Seconds, Sixes, outcome, picture, shaken, small_xception

pytestmark = pytest.mark.usefixtures("kernels")


def test_auto_keeps_what_the_clock_says_is_faster() -> None:
    """Eval: three pairs for `fast` (first one for warming up), where ours wins, three for `slow`, then the whole."""
    model = Sixes().eval()
    x = picture(2, 6, 7, 7)
    clock = Script(9, 9, 2, 1, 2, 1, 9, 9, 1, 2, 1, 2, 5, 6, 6, 5, 5, 6)
    fast, report = accelerate(model, example=x, clock=clock)
    assert report.choices == {"fast": {"eval forward float32": "cpu"}}
    assert report.changed[0].seconds == {"eval forward float32": (2.0, 1.0)}
    whys = {one.name: one.why for one in report.left}
    assert whys["slow"] == "the kernels were no faster here"
    assert whys["idle"] == "its forward was not called"
    assert report.to_text().splitlines()[1] == "    1 x depthwise convolution [eval forward float32] (fast)"
    assert list(swapped_modules(fast)) == ["fast"]
    assert choices_of(fast) == report.choices


def test_a_tie_changes_nothing() -> None:
    report = accelerate(Sixes().eval(), example=picture(1, 6, 7, 7), clock=Seconds(1.0, 0.99)).report
    assert report.changed == ()
    assert report.to_text().startswith("Nothing was changed.\nLeft as it was:")


def test_a_model_that_got_no_faster_as_a_whole_is_put_back() -> None:
    clock = Script(9, 9, 2, 1, 2, 1, 9, 9, 2, 1, 2, 1, 6, 5, 5, 6, 6, 5)
    fast, report = accelerate(Sixes().eval(), example=picture(1, 6, 7, 7), clock=clock)
    assert not swapped_modules(fast)
    assert report.to_text().startswith("As a whole the model got no faster in eval forward float32, which was undone.")


@pytest.mark.parametrize(("second_of_ours", "kept"), [(9.9, False), (9.7, True)])
def test_a_gain_within_the_noise_of_timing_is_none(second_of_ours: float, kept: bool) -> None:
    """The first pair says 0.5, the others say what the case says: the median decides, and it takes 2 % to be kept."""
    paired = [5, 10, *[10, second_of_ours, second_of_ours, 10] * 3]
    clock = Script(9, 9, 2, 1, 2, 1, 9, 9, 2, 1, 2, 1, *paired)
    fast, _ = accelerate(Sixes().eval(), example=picture(1, 6, 7, 7), clock=clock)
    assert bool(swapped_modules(fast)) == kept


def test_measuring_changes_neither_model_nor_random_numbers() -> None:
    model, x = small_xception(), picture(2, 3, 71, 71)
    model.block2.eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fast, _ = accelerate(model, example=x, channels_last=True)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), fast.state_dict().values(), strict=True))
    assert [module.training for module in fast.modules()] == modes
    assert all(p.grad is None for p in fast.parameters())


def test_without_an_example_the_first_call_of_a_mode_decides() -> None:
    fast, report = accelerate(nn.Conv2d(6, 6, 3, groups=6), clock=Seconds(2.0, 1.0))
    assert report.to_text().startswith("Each module times both ways when it is first called in a mode.")
    assert choices_of(fast) == {"": {}}
    x = picture(1, 6, 7, 7)
    fast(x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast.eval()(x)
    assert choices_of(fast) == {"": {"train backward float32": "cpu", "eval forward bfloat16": "cpu"}}


def test_choices_are_replayed_to_the_bit_and_nothing_is_timed() -> None:
    def no_clock() -> float:
        raise AssertionError("timed")

    model, x = shaken(small_xception(dropout=0.0)), picture(2, 3, 71, 71)
    first = accelerate(copy.deepcopy(model), inplace=True, clock=Seconds(2.0, 1.0)).model
    expected = outcome(first, x)
    choices = json.loads(json.dumps(choices_of(first)))
    again, report = accelerate(copy.deepcopy(model), inplace=True, choices=choices, clock=no_clock)
    assert report.choices == choices
    assert all(torch.equal(a, b) for a, b in zip(outcome(again, x), expected, strict=True))
    with torch.no_grad():
        assert torch.equal(again.eval()(x), again.eval()(x)), "a mode without a choice is computed as before"


def test_reference_undoes_and_a_second_call_starts_afresh() -> None:
    model = Sixes().eval()
    names = list(vars(model.fast))
    accelerate(model, inplace=True, implementation="cpu")
    _, again = accelerate(model, inplace=True, example=picture(1, 6, 7, 7), clock=Seconds(1.0, 2.0))
    assert again.changed == ()
    accelerate(model, inplace=True, implementation="cpu")
    report = accelerate(model, inplace=True, implementation="reference").report
    assert report.to_text() == 'Nothing is accelerated: "reference" was asked for.'
    assert type(model.fast) is nn.Conv2d
    assert list(vars(model.fast)) == names


def test_without_kernels_the_model_is_left_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_loaded", build.KernelStatus(False, "no C++ compiler was found"))
    model = Sixes()
    fast, report = accelerate(model)
    assert fast is model
    assert report.to_text() == "The model was left as it is: no C++ compiler was found."
