"""Which configuration a kernel gets: the table, what was timed, and the file that keeps it. No Triton is needed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from separable.ops.triton import configs
from separable.ops.triton.configs import Config, Tuner, config_for, default_config, rival_configs

KERNELS = ("forward", "backward", "product", "wide", "window", "pass")


def clock(times: dict[Config, float], ran: list[Config]) -> Callable[[Callable[[], object]], float]:
    """A stopwatch that knows the answer beforehand."""

    def time(call: Callable[[], object]) -> float:
        call()
        return times[ran[-1]]

    return time


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("channels", [1, 3, 31, 64, 728, 1023, 2048])
@pytest.mark.parametrize("window", [1, 3, 5, 7, 9])
def test_the_table_and_its_rivals_are_powers_of_two_that_fit(kernel: str, channels: int, window: int) -> None:
    for width in (1, 7, 147):
        rivals = rival_configs(kernel, channels, window, width)
        assert rivals[0] == default_config(kernel, channels, window, width)
        assert len(set(rivals)) == len(rivals) <= 6
        for config in rivals:
            assert configs._checked(config) == config
            assert config.channels >= 16
            if kernel in ("forward", "backward"):
                assert config.rows >= 1
                assert config.columns == 1 or config.columns < 2 * width, "no tile is half outside the picture"


def test_outside_of_tuning_nothing_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configs, "_tuner", Tuner(tmp_path / "a.json", lambda _: pytest.fail("timed")))
    assert config_for("forward", (1, 2), lambda _: None, 64) == default_config("forward", 64)
    assert not (tmp_path / "a.json").exists()


def test_the_fastest_is_kept_for_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = rival_configs("forward", 64)
    times = {config: float(10 - number) for number, config in enumerate(rivals)}
    ran: list[Config] = []
    path = tmp_path / "folder" / "a.json"
    tuner = Tuner(path, clock(times, ran))
    monkeypatch.setattr(configs, "_tuner", tuner)
    with configs.tuning() as found:
        assert found is tuner
        chosen = config_for("forward", ("bf16", 8, 64), ran.append, 64)
    assert chosen == rivals[-1]
    assert ran == rivals
    assert not tuner.active
    monkeypatch.setattr(configs, "_tuner", Tuner(path, lambda _: pytest.fail("timed again")))
    with configs.tuning():
        assert config_for("forward", ("bf16", 8, 64), ran.append, 64) == chosen
    assert config_for("forward", ("bf16", 9, 64), ran.append, 64) == rivals[0], "another shape is another key"
    assert ran == rivals


def test_one_that_does_not_fit_the_device_is_passed_over(tmp_path: Path) -> None:
    small, large = Config(columns=16, channels=16), Config(columns=512, channels=512)

    def run(config: Config) -> None:
        if config == large:
            raise RuntimeError("out of resource: shared memory")

    tuner = Tuner(tmp_path / "a.json", lambda call: (call(), 1.0)[1])  # type: ignore[func-returns-value]
    assert tuner.choose("key", [large, small], run) == small
    with pytest.raises(RuntimeError, match="no configuration of key ran: out of resource"):
        tuner.choose("key", [large], run)


def test_two_processes_keep_each_others_choices(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    config = Config(columns=16, channels=16)
    first, second = (Tuner(path, lambda call: (call(), 1.0)[1]) for _ in range(2))  # type: ignore[func-returns-value]
    first.choose("one", [config], lambda _: None)
    second.choose("two", [config], lambda _: None)
    assert Tuner(path).find("one") == Tuner(path).find("two") == config


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 99, "chosen": {}}',
        '{"format": 1, "chosen": {"a": {"colour": 1}}}',
        json.dumps({"format": 1, "chosen": {"a": {"columns": 3, "channels": 16}}}),
        json.dumps({"format": 1, "chosen": {"a": {"columns": "16"}}}),
        json.dumps({"format": 1, "chosen": {"a": {"warps": 0}}}),
        json.dumps({"format": 1, "chosen": {"a": {"rows": -1}}}),
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert Tuner(path).find("a") is None
