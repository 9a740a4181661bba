"""Choices that `train` makes for a user: starting weights, run names, recipe, precision, workers."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from separable import download
from separable.cli import settings
from separable.cli.settings import Wishes, new_run, newest_run, run_argument
from separable.cli.starting import starting_weights
from separable.data import check
from separable.data.folder import read_folder
from separable.errors import DownloadError, UsageError
from separable.machine import processor, runtime
from separable.training import device, estimate
from separable.training.config import TrainConfig
from tests.cli.conftest import QUICK, Cli


def refuse(*_: object, **__: object) -> Path:
    raise DownloadError("Could not download https://example.org/xception.h5", got="no network")


def test_published_weights_are_taken_where_they_can_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(url: str, sha256: str, **_: object) -> Path:
        asked.append(f"{url.rsplit('/', 1)[-1]} {sha256[:8]}")
        return tmp_path

    monkeypatch.setattr(download, "fetch", fetch)
    assert starting_weights(Wishes("xception", {"dropout": 0.2}), None) == ("keras", None)
    assert asked == ["xception_weights_tf_dim_ordering_tf_kernels.h5 c5bf1c05"]


def test_otherwise_it_starts_from_scratch_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", refuse)
    weights, why = starting_weights(Wishes("xception"), None)
    assert weights is None
    assert why == "The published weights cannot be had: Could not download https://example.org/xception.h5."
    assert starting_weights(Wishes("xception", {"width": 0.5}), None)[1] == (
        "No weights are published for xception with these options."
    )
    assert "without a hash" in str(starting_weights(Wishes("mobilenet_v1", {"width": 0.5}), None)[1])
    with pytest.raises(DownloadError):
        starting_weights(Wishes("xception", weights="keras"), None)


def test_weights_that_were_named_are_taken(tmp_path: Path) -> None:
    (tmp_path / "w.h5").touch()
    assert starting_weights(Wishes("xception", weights=str(tmp_path / "w.h5")), None) == (str(tmp_path / "w.h5"), None)
    assert starting_weights(Wishes("xception", weights="none"), None) == (None, None)
    with pytest.raises(UsageError, match="There is no weight file published"):
        starting_weights(Wishes("xception", weights="published"), None)


def test_runs_are_named_after_the_data_and_never_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "my flowers"
    assert new_run(data, None) == newest_run(data, None) == Path("runs/my flowers")
    for expected in ("my flowers", "my flowers-2", "my flowers-3"):
        run = new_run(data, None)
        assert run == Path("runs") / expected
        run.mkdir(parents=True)
        assert newest_run(data, None) == run
    assert new_run(data, "mine") == newest_run(data, "mine") == Path("runs/mine")
    assert new_run(data, "elsewhere/mine") == Path("elsewhere/mine")
    assert new_run(data, "./mine") == newest_run(data, "./mine") == Path("mine")
    assert new_run(Path("/"), None) == Path("runs/run")
    with pytest.raises(UsageError, match=r"--run is empty\. Expected: a name below runs/, or a path"):
        new_run(data, " ")


def test_a_run_is_printed_as_the_command_line_reads_it(tmp_path: Path) -> None:
    for run, printed in (
        (Path("runs/mine"), "runs/mine"),
        (Path("mine"), "./mine"),
        (Path("runs/my flowers"), "'runs/my flowers'"),
        (Path("-x/mine"), "./-x/mine"),
    ):
        assert run_argument(run) == printed
        assert new_run(tmp_path, *shlex.split(printed)) == run


@pytest.mark.parametrize(("features", "taken"), [(("avx512", "avx512_bf16"), "bf16"), (("avx2",), "fp32")])
def test_precision_is_the_processors_unless_asked_and_a_resume_follows_the_run(
    colours: Path, monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], taken: str
) -> None:
    machine = processor.Processor("test", "x86_64", 16, 32, 16, 2**35, features)
    monkeypatch.setattr(processor, "read_processor", lambda: machine)
    monkeypatch.setattr(runtime, "read_processor", lambda: machine)
    data = read_folder(colours)

    def configured(recorded: TrainConfig | None = None, **wishes: object) -> TrainConfig:
        return settings.configure(
            Wishes("mobilenet_v1", device="cpu", **wishes),
            Path("r"),
            colours,
            data,
            None,
            recorded,  # type: ignore[arg-type]
        )

    config = configured()
    assert (config.precision, config.machine.workers, config.batch_size) == (taken, 4, 32)
    assert config.recipe.name == "small"
    for asked in ("bf16", "fp32"):
        other = configured(precision=asked)
        assert configured(other).precision == other.precision == asked
    assert configured(batch=5, workers=0).machine.workers == 0
    with pytest.raises(UsageError, match="Unknown precision 'fp16'"):
        configured(precision="fp16")


def test_fine_tuning_has_its_own_recipe(colours: Path) -> None:
    data = read_folder(colours)
    wishes = Wishes("mobilenet_v1", device="cpu", precision="fp32")
    assert settings.configure(wishes, Path("r"), colours, data, "keras", None).recipe.name == "finetune"


def test_determinism_is_recorded_and_kept_by_a_resume(colours: Path) -> None:
    data = read_folder(colours)

    def configured(deterministic: bool, recorded: TrainConfig | None = None) -> TrainConfig:
        wishes = Wishes("mobilenet_v1", device="cpu", precision="fp32", deterministic=deterministic)
        return settings.configure(wishes, Path("r"), colours, data, None, recorded)

    assert not configured(False).deterministic
    assert configured(True).deterministic
    assert configured(False, configured(True)).deterministic


def test_the_device_is_settled_before_the_estimate_uses_it(
    cli: Cli, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def end(*_: object) -> None:
        order.append("estimate")
        raise UsageError("far enough")

    monkeypatch.setattr(device, "settle_device", lambda config: order.append(f"settle {config.deterministic}"))
    monkeypatch.setattr(estimate, "estimate", end)
    assert "far enough" in cli("train", colours, *QUICK, "--deterministic").err
    assert order == ["settle True", "estimate"]


def test_a_gpu_that_is_not_there_is_refused_before_pictures_are_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "nothing in it").mkdir()
    outcome = cli("train", tmp_path / "nothing in it", "--device", "cuda")
    assert outcome.code == 2
    assert "There is no GPU that torch can use" in outcome.err


def test_an_occupied_folder_is_refused_before_any_work(
    cli: Cli, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.yaml").write_text("run: taken\n")
    worked: list[str] = []
    monkeypatch.setattr(estimate, "estimate", lambda *_: worked.append("estimate"))
    monkeypatch.setattr(check, "check_folder", lambda *_: worked.append("check"))
    assert "already holds a run" in cli("train", colours, *QUICK, "--run", tmp_path / "taken").err
    assert worked == []
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["config.yaml"]


def test_interruption_is_a_sentence_and_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.machine import doctor

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "diagnose", interrupt)
    outcome = cli("doctor")
    assert (outcome.code, outcome.err.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize(
    ("proven", "multiplies", "taken"), [(True, True, "bf16"), (True, False, "fp32"), (False, True, "fp32")]
)
def test_auto_takes_bf16_where_it_is_proven_and_the_hardware_has_it(
    proven: bool, multiplies: bool, taken: str, colours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "_BF16_IS_PROVEN", proven)
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda device: multiplies and device == "cpu")
    wishes = Wishes("xception", device="cpu")
    config = settings.configure(wishes, tmp_path, colours, read_folder(colours), None, None)
    assert (config.precision, config.accelerate) == (taken, True)
    other = replace(config, precision="bf16" if taken == "fp32" else "fp32", accelerate=False)
    again = settings.configure(wishes, tmp_path, colours, read_folder(colours), None, other)
    assert (again.precision, again.accelerate) == (other.precision, False), "a resume keeps what the run recorded"
