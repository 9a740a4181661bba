"""What `train`, `evaluate` and the report say of how their figures were taken."""

from pathlib import Path

from separable.cli.settings import Wishes, network_options
from separable.cli.starting import starting_weights
from tests.cli.conftest import Cli
from tests.segmentation.made import write_pairs

TINY = ("--width", "0.25", "--option", "depth=2", "--image-size", "32", "--weights", "none", "--workers", "0")
AT = (
    "Measured at 32x32, the network's input; a boundary counts within 2 pixels there, which are about 6 of the "
    "pictures' own. The pictures are larger than that, so scores at two --image-size are not comparable."
)
BF16 = "were measured in bf16, "


def test_figures_come_with_how_they_were_taken(cli: Cli, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "blobs", 6, size=(96, 96))
    said = cli("train", data, *TINY, "--epochs", "1", "--precision", "bf16", "--no-check")
    assert said.code == 0, said.err
    assert "Timing a few steps on this machine, to estimate what the training takes ...\n" in said.out
    assert "an estimate, measured just now on this machine.\n" in said.out
    assert f"of their pixels right.\nThe epochs {BF16}this in fp32: last digits may differ.\n{AT}\n" in said.out
    page = Path("runs/blobs/report.html").read_text()
    assert AT in page
    assert "of 32x32" in page
    assert f"The epochs {BF16}the figures of the page in fp32: last digits may differ." in page
    assert "The mask files themselves carry Pascal VOC's palette" in page
    assert f"{AT} All pixels count together.\n" in cli("evaluate", "runs/blobs").out


def test_an_encoder_given_by_set_is_the_one_whose_weights_are_looked_for() -> None:
    settings = {"model.options.encoder": "mobilenet_v1", "seed": 3}
    wishes = Wishes("unet", {"width": 0.3}, task="segment", settings=settings)
    assert network_options(wishes) == {"width": 0.3, "encoder": "mobilenet_v1"}
    assert wishes.options == {"width": 0.3}
    said = "No weights are published for mobilenet_v1, the encoder of unet, with these options."
    assert starting_weights(wishes, None) == (None, said)
