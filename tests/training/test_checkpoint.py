import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from separable.errors import CheckpointError, OutputError
from separable.models import build_model
from separable.training import checkpoint
from separable.training.checkpoint import CheckpointStore
from separable.training.ema import WeightAverage
from separable.training.optimisers import build_optimiser
from separable.training.progress import Progress
from separable.training.recipes import RECIPES
from separable.weights import load_model

IDENTITY = {"config": {"model": {"name": "xception", "options": {"width": 0.125}}, "seed": 0}, "classes": ["a", "b"]}


class Training:
    """A network, its optimiser and its average, stepped on random gradients."""

    def __init__(self, recipe: str = "small", seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = build_model("xception", 2, width=0.125, stem_stride=1, middle_blocks=1)
        self.model.to(memory_format=torch.channels_last)
        self.optimiser = build_optimiser(self.model, RECIPES[recipe], 32)
        self.average = WeightAverage(self.model, 0.9)
        self.progress = Progress(chosen={"threads": 2})

    def step(self) -> None:
        for parameter in self.model.parameters():
            parameter.grad = torch.randn_like(parameter)
        self.optimiser.step()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.1
        self.average.update()
        self.progress.step += 1

    def save(self, store: CheckpointStore) -> Path:
        return store.save(self.model, self.optimiser, self.average, self.progress)

    def restore(self, store: CheckpointStore) -> Progress | None:
        return store.restore(self.model, self.optimiser, self.average)


@pytest.mark.parametrize("recipe", ["small", "finetune", "inception_v3"])
def test_a_restored_training_goes_on_to_the_bit(recipe: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, IDENTITY)
    one = Training(recipe)
    one.step()
    one.progress.loss_sum, one.progress.best = 0.1 + 0.2, {"val_top1": 1 / 3}
    one.save(store)
    other = Training(recipe, seed=9)
    assert other.restore(CheckpointStore(tmp_path, IDENTITY)) == one.progress
    other.progress = Progress(step=1)
    for training in (one, other):
        torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
        training.step()
        training.step()
    for left, right in (
        (one.model.state_dict(), other.model.state_dict()),
        (one.average.tensors, other.average.tensors),
    ):
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert other.model.get_parameter("block1.conv1.conv.weight").is_contiguous(memory_format=torch.channels_last)


def test_a_checkpoint_is_a_model_with_the_weights_to_evaluate(tmp_path: Path) -> None:
    training = Training()
    training.step()
    path = training.save(CheckpointStore(tmp_path, IDENTITY))
    loaded = load_model(path).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in training.average.tensors.items())


def test_the_last_few_stay(tmp_path: Path) -> None:
    store, training = CheckpointStore(tmp_path, IDENTITY, keep=2), Training()
    for _ in range(4):
        training.step()
        training.save(store)
    assert store.steps() == [3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


class Killed(BaseException):
    """What no handler catches."""


def test_at_no_moment_is_there_no_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only checkpoint is replaced by one of its own step; the end comes before each rename and removal in turn."""
    training = Training()
    training.step()
    training.save(CheckpointStore(tmp_path, IDENTITY, keep=1))
    for crash in range(20):
        left = [crash]

        def count(real: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        training.progress.epochs_done += 1
        with monkeypatch.context() as patch:
            for module, name in ((checkpoint.os, "replace"), (checkpoint.shutil, "rmtree")):
                patch.setattr(module, name, count(getattr(module, name)))
            try:
                training.save(CheckpointStore(tmp_path, IDENTITY, keep=1))
                ended = True
            except Killed:
                ended = False
        found = CheckpointStore(tmp_path, IDENTITY).progress()
        assert found is not None, sorted(path.name for path in tmp_path.iterdir())
        assert found.step == 1
        if ended:
            break
    assert ended
    assert crash >= 6
    assert found.epochs_done == training.progress.epochs_done
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_one_set_aside_is_restored(tmp_path: Path) -> None:
    training = two_checkpoints(tmp_path)
    (tmp_path / "step-00000002").rename(tmp_path / "step-00000002.old1")
    store = CheckpointStore(tmp_path, IDENTITY)
    assert store.steps() == [1, 2]
    assert Training(seed=3).restore(store) == training.progress
    training.step()
    training.save(store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


def two_checkpoints(folder: Path) -> Training:
    store, training = CheckpointStore(folder, IDENTITY), Training()
    for _ in range(2):
        training.step()
        training.save(store)
    return training


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a flipped bit in the weights": lambda path: flip_a_byte(path / "model.safetensors"),
    "a flipped bit in the optimiser": lambda path: flip_a_byte(path / "training.safetensors"),
    "a truncated file": lambda path: (path / "training.safetensors").write_bytes(b"short"),
    "a missing file": lambda path: (path / "model.safetensors").unlink(),
    "a changed state": lambda path: (path / "state.json").write_text(
        (path / "state.json").read_text().replace('"epochs_done": 0', '"epochs_done": 1')
    ),
    "an empty state": lambda path: (path / "state.json").write_text(""),
    "no state": lambda path: (path / "state.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_falls_back_with_a_warning(damage: str, tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    DAMAGES[damage](tmp_path / "step-00000002")
    warnings: list[str] = []
    store = CheckpointStore(tmp_path, IDENTITY, warn=warnings.append)
    training = Training(seed=4)
    restored = training.restore(store)
    assert restored is not None
    assert restored.step == 1
    assert len(warnings) == 1
    assert "step-00000002 is damaged" in warnings[0]
    assert "Falling back to the checkpoint before it" in warnings[0]
    # The step is done again and its checkpoint written over the damaged one.
    training.progress = restored
    training.step()
    training.save(store)
    assert CheckpointStore(tmp_path, IDENTITY).progress().step == 2  # type: ignore[union-attr]


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    for step in (1, 2):
        flip_a_byte(tmp_path / f"step-{step:08d}" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"Every checkpoint in .* is damaged. Got: .*does not match its hash"):
        CheckpointStore(tmp_path, IDENTITY).progress()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b", "c"]}, r"classes: \['a', 'b'\], not \['a', 'b', 'c'\]"),
        ({"config": {**IDENTITY["config"], "seed": 4}}, r"config.seed: 0, not 4"),  # type: ignore[dict-item]
        ({"config": {"model": {"name": "mobilenet_v1"}}}, r"config.model.name: 'xception', not 'mobilenet_v1'"),
    ],
)
def test_a_checkpoint_of_another_training_names_the_difference(change: dict, message: str, tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another training.*" + message):
        CheckpointStore(tmp_path, IDENTITY | change).progress()


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "checkpoints", IDENTITY).progress() is None


def test_a_full_disk_keeps_the_checkpoint_before_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, training = CheckpointStore(tmp_path, IDENTITY), Training()
    training.step()
    training.save(store)
    training.step()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("save_model", "save_file", "_fsync", "fsync_directory"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, name, full)
            message = (
                r"No space left to write the checkpoint of step 2 .*The checkpoint of step 1 is whole: free some space"
            )
            with pytest.raises(OutputError, match=message):
                training.save(store)
        if name != "fsync_directory":  # there the new one is already in place
            assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert CheckpointStore(tmp_path, IDENTITY).progress() is not None


SMALL_DISK = """
import resource, sys
from pathlib import Path
from tests.training.test_checkpoint import IDENTITY, Training
from separable.errors import OutputError
from separable.training.checkpoint import CheckpointStore
folder = Path(sys.argv[1])
store, training = CheckpointStore(folder, IDENTITY), Training()
training.step()
training.save(store)
size = (folder / "step-00000001" / "training.safetensors").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
training.step()
try:
    training.save(store)
except OutputError as error:
    print(error)
print(sorted(path.name for path in folder.iterdir()))
"""


def test_a_real_limit_on_what_can_be_written(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    message, names = done.stdout.splitlines()
    assert message.startswith("No space left to write the checkpoint of step 2")
    assert "File too large" in message
    assert "The checkpoint of step 1 is whole" in message
    assert names == "['step-00000001']"
    restored = Training().restore(CheckpointStore(tmp_path, IDENTITY))
    assert restored is not None
    assert restored.step == 1


def test_a_checkpoint_of_another_version_is_not_taken_for_ours(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    shutil.rmtree(tmp_path / "step-00000001")
    path = tmp_path / "step-00000002" / "state.json"
    body = json.loads(path.read_text())["body"] | {"format": 99}
    path.write_text(json.dumps({"digest": checkpoint._digest(body), "body": body}))
    with pytest.raises(CheckpointError, match=r"written by another version\. Got: format 99"):
        CheckpointStore(tmp_path, IDENTITY).progress()
