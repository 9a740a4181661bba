"""A network by name with weights: the published file from a server of our own, any other file, or none."""

import dataclasses
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import separable.weights.create
from separable.errors import (
    DownloadError,
    HashMismatchError,
    RunFolderError,
    UnknownModelError,
    UsageError,
    WeightsFormatError,
    WeightsMismatchError,
)
from separable.models.base import ImageModel
from separable.models.build import model_spec
from separable.models.spec import ModelSpec
from separable.weights import create_model, load_weights, save_model
from tests.weights.conftest import make_net
from tests.weights.keras_h5 import keras_layers, write_h5

FILE = "mobilenet_2_5_224_tf.h5"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Address and folder of a server that has a file under the published name, its hash in the catalogue."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    content = write_h5(folder / FILE, keras_layers(make_net(1000))).read_bytes()
    digest = hashlib.sha256(content).hexdigest()

    def spec(name: str) -> ModelSpec:
        found = model_spec(name)
        entries = [e for e in found.keras_weights if e.url.endswith(FILE)]
        return dataclasses.replace(found, keras_weights=tuple(dataclasses.replace(e, sha256=digest) for e in entries))

    monkeypatch.setattr(separable.weights.create, "model_spec", spec)
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", folder
    server.shutdown()
    thread.join()
    server.server_close()


def state_equal(model: ImageModel, other: ImageModel, *, head: bool = True) -> bool:
    theirs = other.state_dict()
    return all(
        torch.equal(value, theirs[name]) for name, value in model.state_dict().items() if head or "head." not in name
    )


def test_published_weights_are_fetched_and_loaded(mirror: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = mirror
    how: dict[str, Any] = {"width": 0.25, "url_base": base, "cache_dir": tmp_path / "cache"}
    seen: list[int] = []
    model = create_model("mobilenet_v1", 1000, "keras", progress=lambda done, _: seen.append(done), **how)
    assert state_equal(model, make_net(1000))
    assert seen[-1] == (folder / FILE).stat().st_size
    (folder / FILE).unlink()  # from here on the cache must do
    five = create_model("mobilenet_v1", 5, "keras", **how)
    assert five.num_classes == 5
    assert state_equal(five, make_net(1000), head=False)


def test_a_wrong_or_absent_published_file(mirror: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = mirror
    how: dict[str, Any] = {"width": 0.25, "url_base": base, "cache_dir": tmp_path / "cache"}
    (folder / FILE).write_bytes(b"another file")
    with pytest.raises(HashMismatchError, match="is not the published file, and was deleted"):
        create_model("mobilenet_v1", 1000, "keras", **how)
    (folder / FILE).unlink()
    with pytest.raises(DownloadError, match="status 404"):
        create_model("mobilenet_v1", 1000, "keras", **how)


def test_what_keras_does_not_publish() -> None:
    with pytest.raises(DownloadError, match=r"Keras gives no hash.*weights=\"PATH\""):
        create_model("mobilenet_v1", 1000, "keras")
    with pytest.raises(DownloadError, match=r"Keras publishes no weights for this mobilenet_v1"):
        create_model("mobilenet_v1", 1000, "keras", width=0.3)
    with pytest.raises(UnknownModelError, match="xception"):
        create_model("xcepton")
    with pytest.raises(DownloadError) as caught:
        create_model("squeezenet", weights="keras")
    assert str(caught.value) == (
        "Keras publishes no weights for squeezenet. Expected: a network whose published weights are fetched: "
        "inception_v3, xception. Leave out weights to start from fresh ones, or give the path of a weight file."
    )
    with pytest.raises(DownloadError) as caught:
        create_model("mobilenet_v1", weights="keras", width=0.3)
    assert "Got: width=0.3. Expected: the default options or width=0.75 or width=0.5" in str(caught.value)


def test_a_word_that_is_no_path_is_said() -> None:
    said = (
        'Got: neither a file nor a folder of this name. Expected: "keras", "hf-hub:owner/name", or the path of a '
        "weight file, a model folder or a run. "
    )
    for word, fix in (("kears", 'Perhaps you meant "keras".'), ("timm", "Give the path of the file.")):
        for classes in (None, 5):
            with pytest.raises(WeightsFormatError) as caught:
                create_model("xception", classes, word)
            assert str(caught.value) == f"There are no weights {word!r}. {said}{fix}"
    with pytest.raises(WeightsFormatError, match=r"Cannot read kears\.h5"):
        create_model("xception", 5, "kears.h5")


def test_every_published_hash_is_a_hash() -> None:
    hashes = [entry.sha256 for name in ("xception", "inception_v3") for entry in model_spec(name).keras_weights]
    assert sum(value is not None for value in hashes) >= 3
    assert all(value is None or (len(value) == 64 and int(value, 16)) for value in hashes)


def test_weights_from_a_folder_with_other_classes(tmp_path: Path) -> None:
    net = make_net(10)
    save_model(net, tmp_path)
    assert state_equal(create_model("mobilenet_v1", 10, tmp_path, width=0.25), net)
    assert state_equal(create_model("mobilenet_v1", 4, str(tmp_path), width=0.25), net, head=False)


def test_a_new_classifier_beside_trained_layers_starts_at_zero(tmp_path: Path) -> None:
    save_model(make_net(10), tmp_path)
    new = create_model("mobilenet_v1", 4, tmp_path, width=0.25).get_classifier()
    assert all(not parameter.any() for parameter in new.parameters())
    kept = create_model("mobilenet_v1", 10, tmp_path, width=0.25).get_classifier()
    assert any(parameter.any() for parameter in kept.parameters())
    fresh = create_model("mobilenet_v1", 4, width=0.25).get_classifier()
    assert any(parameter.any() for parameter in fresh.parameters())


def test_without_a_number_of_classes_the_weights_give_theirs(tmp_path: Path) -> None:
    net = make_net(11)
    save_model(net, tmp_path / "net")
    keras = write_h5(tmp_path / "net.h5", keras_layers(net))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    for path in (tmp_path / "net", keras, tmp_path / "net.pt"):
        model = create_model("mobilenet_v1", weights=path, width=0.25)
        assert model.num_classes == 11
        assert state_equal(model, net)
        assert not create_model("mobilenet_v1", 1000, path, width=0.25).get_classifier().weight.any()  # type: ignore[operator, union-attr]
    assert create_model("mobilenet_v1", width=0.25).num_classes == 1000
    features = create_model("mobilenet_v1", weights=keras, width=0.25, features_only=True)
    assert state_equal(features, net, head=False)


def test_weights_without_a_classifier_need_a_number_of_classes(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "notop.h5", keras_layers(make_net(), top=False))
    with pytest.raises(
        WeightsMismatchError,
        match=r"notop.h5 has no classifier, so it does not tell the number of classes\. Give num_classes for a new",
    ):
        create_model("mobilenet_v1", weights=path, width=0.25)
    assert create_model("mobilenet_v1", 0, path, width=0.25).num_classes == 0


def test_another_network_is_refused_without_a_number_of_classes_too(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(make_net(1000)))
    with pytest.raises(WeightsMismatchError, match=r"does not fit this mobilenet_v1.*of another shape"):
        create_model("mobilenet_v1", weights=path, width=0.5)


def test_the_folder_of_a_run_has_weights(tmp_path: Path) -> None:
    net, run = make_net(11), tmp_path / "run"
    save_model(net, run / "checkpoints" / "step-1")
    with pytest.warns(UserWarning, match="has not ended: using its checkpoint step-1"):
        assert state_equal(create_model("mobilenet_v1", weights=run, width=0.25), net)
    save_model(make_net(11, seed=3), run / "model")
    assert state_equal(create_model("mobilenet_v1", weights=run, width=0.25), make_net(11, seed=3))
    assert state_equal(create_model("mobilenet_v1", 4, run, width=0.25), make_net(11, seed=3), head=False)
    loaded = make_net(11)
    load_weights(loaded, run)
    assert state_equal(loaded, make_net(11, seed=3))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsFormatError,
        match=r"is neither a model folder nor a run\. Got: a folder with nothing in it\. Expected: a folder",
    ):
        load_weights(make_net(), tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RunFolderError, match="has no model yet"):
        load_weights(make_net(), tmp_path)


def test_only_networks_of_the_catalogue_take_weights(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"^Weights are loaded into a network of the catalogue\. Got: Linear\. Expected: what create_model",
    ):
        load_weights(torch.nn.Linear(2, 3), tmp_path)  # type: ignore[arg-type] - the mistake under test


@pytest.mark.parametrize("prefix", ["module.", "model.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_comes_off(prefix: str, tmp_path: Path) -> None:
    net, model = make_net(), make_net(seed=2)
    state = {prefix + name: value for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "net.pt")
    assert load_weights(model, tmp_path / "net.pt").notes == (f"{prefix!r} was taken off every name",)
    assert state_equal(model, net)
    first = next(iter(state))
    torch.save({**state, first.removeprefix(prefix): state.pop(first)}, tmp_path / "mixed.pt")
    with pytest.raises(WeightsMismatchError, match=f"unexpected: {prefix}"):
        load_weights(make_net(), tmp_path / "mixed.pt")
