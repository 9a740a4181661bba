"""Widths that make networks equally fast: solved for once, and then what the file says, whatever a clock would."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from separable.errors import RunFolderError, SeparableError, UsageError
from separable.experiments import solving
from separable.experiments.campaign import Campaign
from separable.experiments.catalog import EXPERIMENTS
from separable.experiments.cells import cell_of
from separable.experiments.describing import described
from separable.experiments.judging import row_of
from separable.experiments.render import to_markdown
from separable.experiments.results import Result
from separable.experiments.runner import reproduce
from separable.experiments.schema import Arm, Claim, Experiment
from separable.experiments.solutions import StoppedError, read_solutions
from separable.experiments.solving import measured_widths, solved
from separable.experiments.sources import Source
from separable.training.codec import to_plain
from separable.training.display import Display
from separable.training.signals import StopRequest
from tests.experiments.tiny import SETUP, table_of, tiny

SOURCE = Source("classify", "somewhere", "digits", "0123", "fedcba9876543210", 24, 16, ("a", "b"))
ARMS = (
    Arm("k = 1", "xception", {"segments": 1}, match=("milliseconds", "k = all")),
    Arm("k = 4", "xception", {"segments": 4}, note="in between", match=("milliseconds", "k = all")),
    Arm("k = all", "xception"),
)


def equally_fast() -> Experiment:
    return tiny(arms=ARMS, claims=(Claim("all is better", "top1", "k = all", "above", "k = 1"),))


def campaign(home: Path, source: Source = SOURCE) -> Campaign:
    return Campaign(equally_fast(), SETUP, (0,), source, home)


@dataclass
class Clock:
    """In place of a machine: the first arm gets the width 0.05, the next 0.051 ... ; after `fails` it is broken."""

    fails: int = 99
    asked: list[str] = field(default_factory=list)

    def __call__(
        self, asked: Mapping[str, Any], class_names: Sequence[str], smoke: bool, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[str, dict[str, float]]]:
        for arm in asked:
            if should_stop():
                return
            if len(self.asked) == self.fails:
                raise SeparableError("The widths cannot be solved for")
            self.asked.append(arm)
            yield arm, {"width": round(0.049 + 0.001 * len(self.asked), 4), "milliseconds": 3.15, "target": 3.21}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(solving, "measured_widths", clock)
    return clock


class Heard(Display):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    warn = note

    def step(self, view: object) -> None:
        raise AssertionError("nothing is trained here")

    epoch = step  # type: ignore[assignment]

    def close(self) -> None:
        pass


def found(home: Path, display: Display | None = None, **changes: Any) -> Campaign:
    return solved(replace(campaign(home), **changes), home, display or Heard(), StopRequest())


def widths(one: Campaign) -> dict[str, Any]:
    return {arm.name: one.setup.options_of(arm).get("width") for arm in one.experiment.arms}


def test_widths_are_solved_for_once(tmp_path: Path, clock: Clock) -> None:
    first = found(tmp_path)
    assert widths(first) == {"k = 1": 0.05, "k = 4": 0.051, "k = all": SETUP.options["xception"]["width"]}
    again = found(tmp_path)
    assert clock.asked == ["k = 1", "k = 4"]
    assert [again.cell(arm, 0) for arm in ARMS] == [first.cell(arm, 0) for arm in ARMS]
    before = [cell_of(SETUP, arm, SOURCE, 0).key for arm in ARMS]
    after = [cell.key for arm in ARMS if (cell := first.cell(arm, 0)) is not None]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]


def test_killed_while_solving_keeps_what_was_found(tmp_path: Path, clock: Clock) -> None:
    clock.fails = 1
    with pytest.raises(SeparableError, match="cannot be solved"):
        found(tmp_path)
    clock.fails = 99
    assert widths(found(tmp_path))["k = 1"] == 0.05
    assert clock.asked == ["k = 1", "k = 4"]


def test_stopped_while_solving(tmp_path: Path, clock: Clock) -> None:
    stop = StopRequest()

    class Stopping(Heard):
        def note(self, text: str) -> None:
            if "k = 1: Width 0.05" in text:
                stop.request()

    with pytest.raises(StoppedError, match=r"stopped before all of its widths .* The same command goes on"):
        solved(campaign(tmp_path), tmp_path, Stopping(), stop)
    assert clock.asked == ["k = 1"]
    assert widths(found(tmp_path))["k = 4"] == 0.051


def test_another_machine_keeps_the_widths_and_says_so(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found(tmp_path)
    monkeypatch.setattr(solving, "machine_of", lambda device: {"processor": "Another", "cores": 1})
    heard = Heard()
    assert widths(found(tmp_path, heard)) == widths(first)
    (line,) = heard.lines
    (file,) = tmp_path.glob("widths-*.json")
    assert "on another machine" in line
    assert line.endswith(f"and are kept. To have them solved for on this one, move {file} away.")
    file.unlink()
    assert widths(found(tmp_path))["k = 1"] == 0.052
    assert json.loads(file.read_text())["machine"]["processor"] == "Another"


def test_a_part_from_another_machine_is_not_mixed_with_the_rest(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.fails = 1
    with pytest.raises(SeparableError, match="cannot be solved"):
        found(tmp_path)
    clock.fails = 99
    monkeypatch.setattr(solving, "machine_of", lambda device: {"processor": "Another", "cores": 1})
    found(tmp_path)
    assert clock.asked == ["k = 1", "k = 1", "k = 4"]


def test_what_widths_hang_on_has_a_file_of_its_own(tmp_path: Path, clock: Clock) -> None:
    """Other pictures of as many classes are as fast; more classes are not, and neither are other networks."""
    found(tmp_path)
    found(tmp_path, source=replace(SOURCE, fingerprint="0"), seeds=(0, 1, 2))
    assert len(clock.asked) == 2
    found(tmp_path, source=replace(SOURCE, class_names=("a", "b", "c")))
    found(tmp_path, setup=replace(SETUP, image_size=40))
    assert len(clock.asked) == 6
    assert len(list(tmp_path.glob("widths-*.json"))) == 3
    assert widths(found(tmp_path))["k = 1"] == 0.05


def test_a_damaged_file_is_not_solved_over(tmp_path: Path, clock: Clock) -> None:
    found(tmp_path)
    (file,) = tmp_path.glob("widths-*.json")
    file.write_text(file.read_text()[:-20])
    with pytest.raises(RunFolderError, match=r"cannot be read as widths that were solved for.*Remove it"):
        found(tmp_path)
    assert len(clock.asked) == 2


def test_results_show_widths(tmp_path: Path, clock: Clock) -> None:
    one = found(tmp_path)
    rows = tuple(row_of(one, arm, {}) for arm in ARMS)
    assert rows[0].note == "Width 0.05, solved for the 3.21 ms of k = all: 3.15 ms"
    assert rows[1].note == "in between. Width 0.051, solved for the 3.21 ms of k = all: 3.15 ms"
    assert rows[2].note == ""
    assert rows[0].options["width"] == 0.05
    result = Result(**described(one, "smoke", None), arms=rows)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert result.setup["solved"]["arms"]["k = 1"]["target"] == 3.21
    text = to_markdown(result)
    assert "| network | pixels | width |" in text
    assert "| k = 4 | 32 | 0.051 |" in text
    assert "solved for the 3.21 ms of k = all: 3.15 ms" in text
    plain = Result(**described(replace(campaign(tmp_path), experiment=tiny()), "smoke", None), arms=rows)
    assert "width" not in to_markdown(plain).partition("Networks")[0]
    assert "solved" not in plain.setup


def test_the_real_clock() -> None:
    """In a process of its own, whatever this machine takes."""
    asked = {
        arm.name: {
            "cell": to_plain(cell_of(SETUP, arm, SOURCE, 0)),
            "like": to_plain(cell_of(SETUP, ARMS[2], SOURCE, 0)),
        }
        for arm in ARMS[:1]
    }
    ((arm, answer),) = measured_widths(asked, SOURCE.class_names, True, lambda: False)
    assert arm == "k = 1"
    assert answer.keys() == {"width", "milliseconds", "target"}
    assert min(answer.values()) > 0
    assert answer["width"] == round(answer["width"], 4)
    wrong = {"k = 1": {**asked["k = 1"], "cell": {"config": {**asked["k = 1"]["cell"]["config"], "model": {
        "name": "xception", "options": {"colour": 1}}}}}}  # fmt: skip
    with pytest.raises(SeparableError, match=r"The widths cannot be solved for.*no option colour"):
        list(measured_widths(wrong, SOURCE.class_names, True, lambda: False))


def test_run_again_it_is_the_same_table(tmp_path: Path, clock: Clock) -> None:
    pytest.importorskip("sklearn")
    first = reproduce(equally_fast(), "smoke", home=tmp_path, seeds=1)
    assert first.finished
    result = tmp_path / "tiny/table1/smoke/result.json"
    result.unlink()
    assert table_of(reproduce(equally_fast(), "smoke", home=tmp_path, seeds=1)) == table_of(first)
    assert clock.asked == ["k = 1", "k = 4"]
    (file,) = result.parent.glob("widths-*.json")
    kept = read_solutions(file)
    assert kept is not None
    assert {arm.name: arm.options.get("width") for arm in first.arms[:2]} == {
        name: solution.width for name, solution in kept.arms.items()
    }


def test_a_wrong_recipe_is_said_before_anything_is_measured(tmp_path: Path, clock: Clock) -> None:
    pytest.importorskip("sklearn")
    wrong = tiny(arms=ARMS, claims=(), setup=replace(SETUP, changes={"regularization.dropout": 0}))
    with pytest.raises(UsageError, match="there is no section"):
        reproduce(wrong, "smoke", home=tmp_path)
    assert clock.asked == []


def test_the_catalogue_asks_for_what_can_be_solved() -> None:
    matched = {name: [arm for arm in one.arms if arm.match] for name, one in EXPERIMENTS.items()}
    assert [name for name, arms in matched.items() if arms] == ["spectrum/milliseconds"]
    experiment = EXPERIMENTS["spectrum/milliseconds"]
    for arm in matched["spectrum/milliseconds"]:
        assert arm.match is not None
        reference = experiment.arm(arm.match[1])
        assert reference.match is None
        assert reference.model == arm.model
    for scale, setup in experiment.setups.items():
        other = EXPERIMENTS["spectrum"]
        keys = [cell_of(one, whose.arm("k = all"), SOURCE, 0).key for one, whose in (
            (setup, experiment), (other.setups[scale], other))]  # fmt: skip
        assert keys[0] == keys[1], "trained once for both"
