"""Ceilings by a clock of the test's own: no speed is asserted, only what is made of durations."""

import json
from collections.abc import Callable

import pytest
import torch

from separable.errors import UsageError
from separable.machine import ceilings
from separable.machine.ceilings import Ceilings, has_fast_bf16, limited_threads, measure_ceilings
from separable.machine.processor import Processor

MIB = 1 << 20


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by `seconds` whenever it is read."""
    state = [0.0]

    def now() -> float:
        state[0] += seconds
        return state[0]

    return now


def processor(*features: str, memory: int = 8 << 30) -> Processor:
    return Processor("test", "x86_64", 2, 2, 2, memory, features)


def test_rates_are_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "read_processor", lambda: processor("avx512_bf16"))
    found = measure_ceilings(clock=ticking(0.02), largest_copy=2 * MIB)
    convolution = 2 * 256 * 256 * 9 * 28 * 28 / 0.02, "the faster of the two in this clock's eyes"
    assert convolution[0] > 2 * 512**3 / 0.02
    assert found.gemm_flops == pytest.approx({"fp32": convolution[0], "bf16": convolution[0]})
    assert [size for size, _ in found.copies] == [MIB, 4 * MIB], "read and written"
    assert [rate for _, rate in found.copies] == pytest.approx([MIB / 0.02, 4 * MIB / 0.02])
    assert found.copy_bytes_per_second == found.copies[-1][1]
    told = json.loads(json.dumps(found.to_json()))
    assert told["threads"] == torch.get_num_threads()
    assert told["versions"] == {"torch": torch.__version__}
    assert told["copies"][0] == {"bytes": MIB, "bytes_per_second": pytest.approx(MIB / 0.02)}


def test_products_grow_until_one_takes_long_enough() -> None:
    seen = []
    real = ceilings._product_seconds

    def quick(side: int, *rest: object) -> float:
        seen.append(side)
        assert real(64, torch.float32, "cpu", ticking(1.0)) == 1.0
        return (side / 512) ** 3 * 0.002

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceilings, "_product_seconds", quick)
        patch.setattr(ceilings, "_convolution_seconds", lambda *_: 1.0)
        rate = ceilings._gemm(torch.float32, "cpu", ticking(1.0))
    assert seen == [512, 1024], "8 times 16 ms is more than a product is given"
    assert rate == pytest.approx(2 * 512**3 / 0.002)


def test_the_best_of_several_counts() -> None:
    times = iter([0.0, 3.0, 3.0, 4.0, 4.0, 6.0])
    assert ceilings._fewest_seconds(lambda: None, lambda: next(times)) == 1.0


def test_bf16_is_left_out_where_it_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "read_processor", lambda: processor("avx2", "avx512"))
    found = measure_ceilings(clock=ticking(0.02), largest_copy=MIB)
    assert list(found.gemm_flops) == ["fp32"]
    assert not has_fast_bf16(processor("avx512"))
    assert has_fast_bf16(processor("arm_bf16"))


def test_the_largest_copy_is_beyond_the_caches_and_fits_into_memory() -> None:
    assert ceilings._beyond_the_caches(processor()) >= 128 * MIB
    assert ceilings._beyond_the_caches(processor(memory=512 * MIB)) == 32 * MIB


def made(*copies: tuple[int, float], fp32: float = 1e9) -> Ceilings:
    return Ceilings("cpu", "test", 1, {"fp32": fp32}, copies, {})


def test_small_copies_may_be_as_fast_as_any_larger_one() -> None:
    found = made((100, 5.0), (1000, 7.0), (10000, 2.0))
    assert [found.copy_rate(size) for size in (1, 100, 101, 5000, 20000)] == [7.0, 7.0, 7.0, 2.0, 2.0]


def test_of_two_measurements_the_higher_counts() -> None:
    both = made((100, 5.0), (1000, 2.0), fp32=3.0).higher(made((100, 4.0), (1000, 6.0), fp32=9.0))
    assert both == made((100, 5.0), (1000, 6.0), fp32=9.0)


def test_threads_are_given_back() -> None:
    def fail() -> None:
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError

    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), limited_threads(1):
        fail()
    assert torch.get_num_threads() == before


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(UsageError, match=r"No ceiling is known for this type of numbers. Got: torch.float64"):
        measure_ceilings([torch.float64])
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"There is no GPU that torch can use. Got: device cuda"):
            measure_ceilings(device="cuda")
