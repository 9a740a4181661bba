"""Anybody's network trained as it is: what it has to be, and that nothing in it is changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from separable.data.folder import read_folder
from separable.errors import UsageError
from separable.models import InputContract
from separable.models.factory import load_factory
from separable.segmentation.task import SegmentTask
from separable.training.classification import task_for
from separable.training.config import MachineConfig, ModelConfig, TrainConfig
from separable.training.foreign import digest_of, foreign_model, is_foreign
from separable.training.loop import train
from separable.training.recipes import find_recipe
from tests.training.killable import write_pictures

SOURCE = """
import torch
from torch import nn
from separable.models import InputContract

def small(num_classes):
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6, eps=1e-4, momentum=0.3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes))

def three():
    return small(3)

def sized(num_classes=7):
    network = small(num_classes)
    network.input_contract = InputContract(size=(40, 40), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    return network

class Twofold(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inside = small(num_classes)
    def forward(self, x):
        return (self.inside(x), self.inside(x)) if self.training else self.inside(x)

def twofold(num_classes): return Twofold(num_classes)
def frozen(num_classes): return small(num_classes).requires_grad_(False)
def broken(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(5, num_classes))
def lazy(num_classes): return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))
def text(): return "a network"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(SOURCE)
    return f"{tmp_path}/mine.py"


def test_it_is_run_as_it_is(file: str) -> None:
    torch.manual_seed(0)
    model = foreign_model(f"{file}:small", 5, size=(24, 32), pixels="imagenet").eval()
    torch.manual_seed(0)
    plain = load_factory(Path(file), "small", 5).eval()
    assert model.input_contract.size == (24, 32)
    assert model.input_contract.mean == (0.485, 0.456, 0.406)
    assert model.num_classes == 5
    x = torch.rand(2, 3, 24, 32)
    assert torch.equal(model(x), plain(x))
    norm = model.network[1]  # type: ignore[index]
    model.adopt(replace(model.input_contract, batch_norm_eps=0.5, padding="symmetric"))
    assert (norm.eps, norm.momentum) == (1e-4, 0.3)
    assert torch.equal(norm.running_mean, torch.zeros(6)), "the trial on nothing left its mark"
    assert int(norm.num_batches_tracked) == 0
    assert model.training is False


def test_its_own_contract_counts(file: str) -> None:
    own = foreign_model(f"{file}:sized", 4, size=None)
    assert own.input_contract.size == (40, 40)
    assert own.input_contract.mean == (0.1, 0.2, 0.3)
    assert own.num_classes == 4
    assert foreign_model(f"{file}:sized", 4, size=(28, 28)).input_contract.size == (28, 28)
    assert foreign_model(f"{file}:three", 3, size=(24, 24)).num_classes == 3
    assert isinstance(own.input_contract, InputContract)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            "three",
            r"does not give a number for each class. Got: \(2, 3\) for two pictures. Expected: a tensor of shape",
        ),
        ("twofold", "Got: tuple for two pictures in training"),
        ("frozen", "has nothing to train"),
        ("broken", "cannot|fail|not"),
        ("lazy", "lazy layers without weights"),
        ("text", "returned no network. Got: str"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_what_cannot_be_trained(file: str, function: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        foreign_model(f"{file}:{function}", 5, size=(24, 24))


def test_what_has_to_be_said(file: str) -> None:
    with pytest.raises(UsageError, match=r"does not say what size its pictures have. Give --image-size"):
        foreign_model(f"{file}:small", 5, size=None)
    with pytest.raises(UsageError, match=r"Unknown range of pixels '0..7'"):
        foreign_model(f"{file}:small", 5, size=(24, 24), pixels="0..7")
    with pytest.raises(UsageError, match="cannot be read"):
        digest_of("nowhere.py:small")
    digest = digest_of(f"{file}:small")
    assert foreign_model(f"{file}:small", 5, size=(24, 24), sha256=digest).options["sha256"] == digest
    Path(file).write_text(SOURCE + "# edited\n")
    with pytest.raises(UsageError, match="has changed since this began"):
        foreign_model(f"{file}:small", 5, size=(24, 24), sha256=digest)
    assert is_foreign("a.py:b")
    assert not is_foreign("xception")


def test_it_trains_and_resumes(file: str, tmp_path: Path) -> None:
    data = read_folder(write_pictures(tmp_path / "pictures", train=12, val=4))
    config = TrainConfig(
        run=str(tmp_path / "run"), recipe=find_recipe("small"), epochs=1, batch_size=4, threads=1, accelerate=False,
        model=ModelConfig(f"{file}:small", image_size=(24, 24)),
        machine=MachineConfig(workers=0, label_check=False, checkpoint_steps=1),
    )  # fmt: skip
    result = train(config, data)
    assert result.steps > 0
    assert 0 <= result.metrics["val_top1"] <= 1
    again = train(replace(config, epochs=1), data, resume=True)
    assert again.metrics["val_loss"] == result.metrics["val_loss"]
    other = replace(config, run=str(tmp_path / "other"))
    assert train(other, data).metrics["val_loss"] == result.metrics["val_loss"], "weights are keyed by the seed"
    with pytest.raises(UsageError, match="classifies, and cannot answer for every pixel"):
        task_for(replace(config, task="segment"), SegmentTask())


def test_arguments_of_a_factory(file: str) -> None:
    assert isinstance(load_factory(Path(file), "three"), nn.Module)
    assert load_factory(Path(file), "sized")[-1].out_features == 7  # type: ignore[index]
    assert load_factory(Path(file), "sized", 2)[-1].out_features == 2  # type: ignore[index]
