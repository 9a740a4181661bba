"""A head does its followers' work only where they really follow; where they do not after all, nothing is lost."""

import copy
import importlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.driving import Driving
from separable.blocks.accelerate.forwards import runs_in_turn
from separable.blocks.accelerate.groups import _TIMM, find_groups
from separable.blocks.accelerate.swapped import swapped_modules
from separable.errors import SeparableError, UsageError
from tests.blocks.accelerate.helpers import NOTHING, Seconds, distances, outcome, picture, shaken
from tests.peers import timm
from tests.tolerances import ACCELERATED_FP32

pytestmark = pytest.mark.usefixtures("kernels")
assert timm is not None

BETWEEN = "what its block does between its parts is not known"


def timm_class(path: str) -> type[nn.Module]:
    module, name = path.rsplit(".", 1)
    found: type[nn.Module] = getattr(importlib.import_module(module), name)
    return found


def conv_bn_act() -> nn.Module:
    return timm_class("timm.models._efficientnet_blocks.ConvBnAct")(6, 8, 3, act_layer=nn.SiLU)


@pytest.mark.parametrize("path", _TIMM)
def test_this_timm_runs_them_in_turn(path: str) -> None:
    kind = timm_class(path)
    chains = [tuple(names.split()) for names in _TIMM[path]]
    assert all(runs_in_turn(kind, names) for names in chains)
    assert not any(runs_in_turn(kind, names[::-1]) for names in chains)


def between(self: Any, x: Tensor) -> Tensor:
    x = self.conv(x)
    x = x * 2 + 1
    x = self.bn1(x)
    return self.aa(x)


def kept(self: Any, x: Tensor) -> Tensor:
    y = self.conv(x)
    x = self.bn1(y)
    return x + y


def twice(self: Any, x: Tensor) -> Tensor:
    x = self.conv(x)
    x = self.bn1(x)
    return x + self.bn1(x)


def by_name(self: Any, x: Tensor) -> Tensor:
    x = self.conv(x)
    x = self.bn1(x)
    return x + getattr(self, "conv")(x[:, :6])  # noqa: B009


@pytest.mark.parametrize("forward", [between, kept, twice, by_name, lambda self, x: self.bn1(self.conv(x))])
def test_another_forward_of_a_known_name_is_not_trusted(
    forward: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shaken(conv_bn_act())
    assert find_groups(model)
    monkeypatch.setattr(type(model), "forward", forward)
    assert not find_groups(model)
    fast = accelerate(copy.deepcopy(model), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    assert max(distances(outcome(fast, x), outcome(copy.deepcopy(model).double(), x.double()))) <= ACCELERATED_FP32


class Between(nn.Sequential):
    """Its forward is trusted at first, then exchanged below."""


@pytest.fixture
def slipped() -> Iterator[nn.ModuleList]:
    """A model that was accelerated while its forward was the known one: then an operation comes between."""
    inner = Between(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU())
    model = shaken(nn.Sequential(nn.Dropout(0.3), inner, nn.Dropout(0.3), nn.BatchNorm2d(8)))

    def forward(self: nn.Sequential, x: Tensor) -> Tensor:
        return self[2](self[1](torch.dropout(self[0](x) + 1, 0.2, self.training)))

    Between.forward = forward  # type: ignore[method-assign]
    plain = copy.deepcopy(model)
    del Between.forward
    fast = accelerate(model, implementation="cpu", inplace=True).model
    Between.forward = forward  # type: ignore[method-assign]
    yield nn.ModuleList((plain, fast))
    del Between.forward


@pytest.mark.parametrize("mode", ["train", "eval", "no grad"])
def test_a_result_that_nobody_came_for_is_computed_again_plainly(slipped: nn.ModuleList, mode: str) -> None:
    """Dropout draws the same numbers, and running averages take the batch in once."""
    plain, fast = slipped.train(mode == "train")
    x = picture(2, 6, 7, 5)
    for _ in range(2):
        results = []
        for model in (plain, fast):
            torch.manual_seed(3)
            if mode == "no grad":
                with torch.no_grad():
                    results.append([model(x)])
            else:
                results.append(outcome(model, x))
            results[-1].append(torch.get_rng_state())
        assert torch.equal(results[0].pop(), results[1].pop())
        assert max(distances(results[1], results[0])) <= ACCELERATED_FP32
    for a, b in zip(plain.buffers(), fast.buffers(), strict=True):
        torch.testing.assert_close(a, b)
    assert fast[1][0].swap_state.met == BETWEEN
    assert fast[3].swap_state.met == NOTHING, "the norm that stands alone goes on"


def test_what_cannot_be_undone_is_an_error_once(slipped: nn.ModuleList) -> None:
    plain, fast = slipped.eval()
    x = picture(2, 6, 7, 5)
    fast[1][1].train()
    with pytest.raises(SeparableError, match=r"what it did could not be undone\. Call it again"):
        fast(x)
    fast.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fast.eval()(x), plain(x), rtol=1e-4, atol=1e-4)


@pytest.mark.compiles
@torch.no_grad()
def test_a_follower_that_is_compiled_by_itself() -> None:
    plain = shaken(nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.SiLU())).eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    fast[2].compile(backend="eager")
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-4)
    assert fast[0].swap_state.met == "somebody hooked into a part of it"


def test_a_parent_that_calls_itself_finds_its_result_again() -> None:
    model = shaken(conv_bn_act()).eval()
    fast = accelerate(copy.deepcopy(model), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    truth, inner = model(x), []
    fast_once = fast.conv.fast

    def reentrant(x: Tensor) -> Tensor:
        if not inner:
            inner.append(None)
            inner[0] = fast(x)
        return fast_once(x)

    fast.conv.fast = reentrant
    torch.testing.assert_close(fast(x), truth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inner[0], truth, rtol=1e-4, atol=1e-4)
    assert fast.conv.swap_state.met == NOTHING


def test_exchanged_modules_are_still_what_they_were() -> None:
    model = conv_bn_act()
    parts = [*model.modules(), nn.ReLU()]
    kinds = [type(part) for part in parts]
    whole = nn.Sequential(model, nn.BatchNorm2d(8), parts[-1])
    texts = [part.extra_repr() for part in parts]
    fast = accelerate(whole, implementation="cpu", inplace=True).model
    assert isinstance(fast[0], Driving)
    assert all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True))
    assert [part.extra_repr() for part in parts] == texts
    file = io.BytesIO()
    torch.save(fast, file)
    file.seek(0)
    for twin in (copy.deepcopy(fast), torch.load(file, weights_only=False)):
        assert [type(part) for part in twin.modules()] == [type(part) for part in fast.modules()]
        assert list(twin.state_dict()) == list(fast.state_dict())
        accelerate(twin, implementation="reference", inplace=True)
        assert [type(part) for part in twin[0].modules()] == kinds[:-1]


def test_two_threads_do_not_time_at_once() -> None:
    model = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6)).eval().to(memory_format=torch.channels_last)
    clock = Seconds(2.0, 1.0)
    fast = accelerate(model, clock=clock, inplace=True).model
    x, start = picture(1, 6, 9, 9), threading.Barrier(4)

    def call() -> None:
        start.wait()
        fast(x).sum()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (head,) = swapped_modules(fast).values()
    assert set(head.swap_state.choices.values()) == {"cpu"}
    assert clock.calls == 12, "three rounds of two ways, by one of them"


def test_two_threads_leave_the_norms_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6)).to(memory_format=torch.channels_last)
    fast = accelerate(model, inplace=True).model
    x, start = picture(1, 6, 9, 9), threading.Barrier(3)
    threads = [threading.Thread(target=lambda: (start.wait(), fast(x))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fast[1].momentum == 0.1
    assert fast[1].num_batches_tracked is not None


@torch.no_grad()
def test_other_ways_to_run_a_model() -> None:
    """torch.fx, forward-mode differentiation, a replica; scripting is refused."""
    plain = shaken(nn.Sequential(conv_bn_act(), nn.BatchNorm2d(8), nn.ReLU())).eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    torch.testing.assert_close(torch.fx.symbolic_trace(fast)(x), plain(x), rtol=1e-4, atol=1e-4)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        ours, theirs = (torch.autograd.forward_ad.unpack_dual(m(dual)).tangent for m in (fast, plain))
    torch.testing.assert_close(ours, theirs)
    replica = fast._replicate_for_data_parallel()
    torch.testing.assert_close(replica(x), plain(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="An accelerated model cannot be scripted"):
        torch.jit.script(fast)


@pytest.mark.parametrize("choice", ["head hooked", "norm hooked", "backward hook", "frozen weights", "norm frozen"])
def test_training_with_hooks_and_frozen_parts(choice: str) -> None:
    plain = shaken(nn.Sequential(nn.Conv2d(6, 8, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 3)))
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x, seen = picture(3, 6, 9, 8), []
    for model in (plain, fast):
        if choice == "head hooked":
            model[0].register_forward_hook(lambda _m, _i, y: y * 2)
        elif choice == "norm hooked":
            model[1].register_forward_pre_hook(lambda _m, inputs: (inputs[0] + 1,))
        elif choice == "backward hook":
            model[2].register_full_backward_hook(lambda *_: seen.append(1))
        elif choice == "frozen weights":
            model[0].requires_grad_(False)
            model[1].bias.requires_grad_(False)
        else:
            model[1].eval()
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    seen.clear()
    assert max(distances(outcome(fast, x), truth)) <= ACCELERATED_FP32
    assert len(seen) == (choice == "backward hook")


@pytest.mark.compiles
@torch.no_grad()
def test_a_compiled_model_computes_plainly() -> None:
    plain = shaken(nn.Sequential(conv_bn_act(), nn.BatchNorm2d(8), nn.ReLU())).eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    torch.testing.assert_close(torch.compile(fast, backend="eager")(x), plain(x), rtol=1e-4, atol=1e-4)
