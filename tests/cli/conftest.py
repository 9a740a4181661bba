"""The command line as a user has it, in this process for speed: arguments in, exit code and both streams out."""

import colorsys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.cli import main
from separable.machine import runtime

NETWORK = ("--model", "xception", "--width", "0.0625", "--option", "middle_blocks=0", "--option", "stem_stride=1")
QUICK = (
    *NETWORK,
    *("--image-size", "32", "--weights", "none", "--precision", "fp32", "--batch", "6", "--epochs", "1"),
    *("--workers", "0", "--set", "recipe.augment.random_resized_crop=null"),
    *("--set", "recipe.regularisation.ema_decay=0.8", "--set", "recipe.regularisation.batch_norm_momentum=0.3"),
)
TRAINED = (*QUICK, "--epochs", "10")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def threads_are_put_back() -> Iterator[None]:
    """The verbs set those of this process, which for a user ends with them; nor is it remembered what they were."""
    before, remembered = torch.get_num_threads(), dict(runtime._originals)
    yield
    torch.set_num_threads(before)
    runtime._originals.clear()
    runtime._originals.update(remembered)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `separable ARGUMENTS` in an empty folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        code = exited.value.code
        assert isinstance(code, int)
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return run


def write_pictures(folder: Path, count: int, hue: float, side: int = 40) -> None:
    """`count` noisy pictures of one colour, so that two hues can be told apart after a few steps."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(round(hue * 1000))
    for number in range(count):
        colour = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.8))
        pixels = np.clip(colour + generator.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of three colours, 12 pictures each."""
    root = tmp_path_factory.mktemp("data") / "colours"
    for name, hue in (("blue", 0.6), ("green", 0.33), ("red", 0.0)):
        write_pictures(root / name, 12, hue)
    return root


@pytest.fixture(scope="session")
def trained(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the colours; tests that change it copy it first."""
    run = tmp_path_factory.mktemp("trained") / "run"
    with pytest.raises(SystemExit) as exited:
        main(["train", str(colours), "--run", str(run), *TRAINED])
    assert exited.value.code == 0
    return run
