"""The order of things in a contest, and that one contestant's trouble is not the others'."""

from dataclasses import replace

import pytest

from separable.benchmarking.outcome import ContestResult
from separable.benchmarking.run import ContestantError, Rules, contained, run_contest
from separable.errors import UsageError
from tests.benchmarking.fakes import WRONG, seat

STEPS = [9.0, 1.0, 2.0, 3.0]
"""The first warms up."""


def timed(result: ContestResult, name: str) -> dict[int, float]:
    return next(one.seconds for one in result.entries if one.name == name)


def test_they_take_turns_and_the_warming_up_does_not_count() -> None:
    log: list[str] = []
    result = run_contest("t", [seat("a", STEPS, log), seat("b", STEPS, log)], baseline="a", rules=Rules(3))
    assert log == [
        "a answers", "a", "b answers", "b", "a", "b", "b", "a", "a", "b", "a leaves", "b leaves"
    ]  # fmt: skip
    assert timed(result, "a") == {0: 1.0, 1: 2.0, 2: 3.0}
    assert not result.interrupted
    assert result.entries[0].memory == 1000
    assert result.entries[0].description == {"versions": {"a": "1"}}


def test_everybody_is_first_as_often_as_last() -> None:
    log: list[str] = []
    seats = [seat(name, [1.0] * 9, log) for name in "abc"]
    run_contest("t", seats, baseline="a", rules=Rules(3, warmups=0))
    assert "".join(one for one in log if len(one) == 1) == "abcbcacab"


def test_who_compiles_warms_up_longer() -> None:
    log: list[str] = []
    result = run_contest(
        "t", [seat("a", STEPS, log), replace(seat("b", [9.0, *STEPS], log), warmups=2)], baseline="a", rules=Rules(2)
    )
    assert [log.count(name) for name in "ab"] == [3, 4]
    assert timed(result, "b") == {0: 1.0, 1: 2.0}


def test_a_failure_is_one_line_and_a_sentence_stays_one() -> None:
    with pytest.raises(ContestantError, match=r"^ValueError: no$"), contained():
        raise ValueError("no\nmore")
    with pytest.raises(ContestantError, match=r"^No kernels\. Got: nothing\.$"), contained():
        raise UsageError("No kernels", got="nothing")


def test_what_answers_wrongly_is_never_timed() -> None:
    log: list[str] = []
    result = run_contest(
        "t", [seat("a", STEPS, log), seat("b", STEPS, log, verdict=WRONG)], baseline="a", rules=Rules(3)
    )
    refused = result.entries[1]
    assert (refused.seconds, refused.spread, refused.verdict) == ({}, None, WRONG)
    assert refused.failure == "wrong answer: 0.5 from fp64, where 2e-05 is allowed"
    assert "b" not in log
    assert "b leaves" in log
    assert len(timed(result, "a")) == 3


def test_a_crash_in_a_round_keeps_what_came_before_and_the_others_go_on() -> None:
    log: list[str] = []
    crashing = seat("b", [9.0, 1.0, "its process ended by signal 11"], log)
    result = run_contest("t", [seat("a", STEPS, log), crashing], baseline="a", rules=Rules(3))
    assert timed(result, "b") == {0: 1.0}
    assert result.entries[1].failure == "its process ended by signal 11"
    assert len(timed(result, "a")) == 3


def test_who_cannot_be_opened_is_named_and_the_others_go_on() -> None:
    def fail() -> None:
        raise ContestantError("ImportError: no such peer")

    log: list[str] = []
    result = run_contest("t", [seat("a", STEPS, log, opened=fail), seat("b", STEPS, log)], baseline="a", rules=Rules(3))
    assert result.entries[0].failure == "ImportError: no such peer"
    assert len(timed(result, "b")) == 3
    assert result.ratio(result.entries[1]) is None  # the baseline has no round


def test_interruption_keeps_what_was_measured() -> None:
    log: list[str] = []
    stopping = seat("b", [9.0, 1.0, KeyboardInterrupt()], log)
    result = run_contest("t", [seat("a", STEPS, log), stopping], baseline="a", rules=Rules(3))
    assert result.interrupted
    assert (len(timed(result, "a")), len(timed(result, "b"))) == (1, 1)  # it would have been the second round's first
    assert {"a leaves", "b leaves"} <= set(log)


def test_time_ends_the_rounds_but_never_before_the_least() -> None:
    now = iter(range(0, 10_000, 100))
    rules = Rules(9, least=3, seconds=1.0, clock=lambda: next(now))
    result = run_contest("t", [seat("a", [1.0] * 20, [])], baseline="a", rules=rules)
    assert len(timed(result, "a")) == 3


def test_without_room_they_race_in_heats_each_with_the_baseline() -> None:
    log: list[str] = []
    seats = [seat(name, [9.0] + [1.0] * 9, log) for name in "abc"]
    rules = Rules(2, room=lambda needed: False)
    result = run_contest("t", seats, baseline="b", rules=rules)
    assert [sorted(one.seconds) for one in result.entries] == [[0, 1], [0, 1, 2, 3], [2, 3]]
    ratios = [result.ratio(one) for one in result.entries]
    assert [ratio.count for ratio in ratios if ratio is not None] == [2, 4, 2]


def test_room_is_asked_for_what_the_largest_took() -> None:
    asked = []

    def room(needed: int) -> bool:
        asked.append(needed)
        return True

    run_contest("t", [seat(name, STEPS, []) for name in "ab"], baseline="a", rules=Rules(1, room=room))
    assert asked == [1000]


@pytest.mark.parametrize("deaths", [1, 2])
def test_who_is_killed_beside_others_gets_another_heat_and_only_one(deaths: int) -> None:
    left = [deaths]

    def die() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise ContestantError("its process ended by signal 9", killed=True)

    log: list[str] = []
    seats = [seat("a", [9.0] + [1.0] * 9, log), seat("b", STEPS, log, opened=die)]
    result = run_contest("t", seats, baseline="a", rules=Rules(2))
    assert bool(result.entries[1].seconds) == (deaths == 1)
    assert result.entries[1].failure == ("" if deaths == 1 else "its process ended by signal 9")
