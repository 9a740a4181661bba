"""Models to and from a hub: a server here speaks the routes that huggingface_hub uses, and refuses in every way."""

import importlib
import json
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import yaml

from separable.errors import (
    DownloadError,
    MissingExtraError,
    SeparableError,
    UsageError,
    WeightsFormatError,
    WeightsMismatchError,
)
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights import create_model, load_model, load_weights
from separable.weights.conversion import convert_weights
from separable.weights.hub import from_pretrained, push_to_hub
from separable.weights.hub_files import hub_package
from separable.weights.model_card import count_macs, model_card
from tests.weights.conftest import make_net
from tests.weights.hub_server import TOKEN, Hub, running_hub

# huggingface_hub's own call of its HTTP library when it uploads
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

REPO = "owner/net"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name, value in (
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_TOKEN_PATH", str(tmp_path / "no-token")),
        ("HF_HUB_DISABLE_PROGRESS_BARS", True),
    ):
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub() as hub:
        move(monkeypatch, hub.endpoint)
        yield hub


def move(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """What HF_ENDPOINT does where it is set before huggingface_hub is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def same(one: ImageModel, other: ImageModel) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == there and torch.equal(value, found) for (name, value), (there, found) in pairs)


def push(hub: Hub, net: ImageModel, **options: Any) -> str:
    return push_to_hub(net, REPO, token=TOKEN, endpoint=hub.endpoint, **options)


def test_up_and_down_again(hub: Hub, net: ImageModel, capfd: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = push(hub, net, license="apache-2.0", source="trained on nothing")
    assert url.startswith(f"{hub.endpoint}/{REPO}/commit/")
    assert sorted(hub.files[REPO]) == ["README.md", "config.json", "model.safetensors"]
    assert hub.commits == ["Add the model"]
    hub.asked.clear()
    found = from_pretrained(REPO, endpoint=hub.endpoint)
    assert same(found, net)
    assert found.input_contract == net.input_contract
    assert not found.training
    fetched = [line for line in hub.asked if line.startswith("GET") and "/resolve/" in line]
    assert sorted(line.rpartition("/")[2] for line in fetched) == ["config.json", "model.safetensors"]
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())


def test_every_way_of_loading_takes_a_hub_id(hub: Hub, net: ImageModel, tmp_path: Path) -> None:
    push(hub, net)
    name = f"hf-hub:{REPO}"
    assert same(load_model(name), net)
    assert same(create_model("mobilenet_v1", weights=name, width=0.25), net)
    assert (tmp_path / "cache").is_dir()
    assert same(create_model("mobilenet_v1", weights=name, width=0.25, cache_dir=tmp_path / "mine"), net)
    assert (tmp_path / "mine").is_dir()
    model = make_net(seed=3)
    load_weights(model, name)
    assert same(model, net)
    assert {entry.largest for entry in convert_weights(name, tmp_path / "out").differences} == {0.0}
    assert same(load_model(tmp_path / "out"), net)


def test_the_cards_own_code_loads_it(hub: Hub, net: ImageModel) -> None:
    push(hub, net)
    code = re.search(r"```python\n(.*?)```", hub.files[REPO]["README.md"].decode(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code[1] if code else "", found)
    assert same(found["model"], net)


def test_a_branch_of_its_own(hub: Hub, net: ImageModel) -> None:
    push(hub, make_net(seed=5))
    push(hub, net, revision="later")
    assert same(load_model(f"hf-hub:{REPO}@later"), net)
    assert same(from_pretrained(REPO, "later"), net)
    assert not same(load_model(f"hf-hub:{REPO}"), net)


def test_a_card_that_somebody_wrote_stays(hub: Hub, net: ImageModel) -> None:
    hub.files[REPO] = {"README.md": b"mine"}
    push(hub, net)
    assert hub.files[REPO]["README.md"] == b"mine"
    assert same(from_pretrained(REPO), net)


def test_timms_form(hub: Hub) -> None:
    net = build_model("mobilenet_v1", 3)
    push(hub, net, form="timm", allow_difference=True)
    config = json.loads(hub.files[REPO]["config.json"])
    assert (config["architecture"], config["num_classes"]) == ("mobilenetv1_100", 3)
    card = hub.files[REPO]["README.md"].decode()
    assert "library\\_name" not in card
    assert 'timm.create_model("hf-hub:owner/net", pretrained=True)' in card
    assert "epsilon 0.001 folded into the running variances" in card
    found = from_pretrained(REPO)
    assert (found.name, found.num_classes) == ("mobilenet_v1", 3)
    assert (found.input_contract.padding, found.input_contract.batch_norm_eps) == ("symmetric", 1e-5)
    assert found.input_contract.size == net.input_contract.size
    with pytest.raises(WeightsMismatchError, match=r"timm has no squeezenet\. Expected: one of inception_resnet_v2"):
        push(hub, build_model("squeezenet", 3), form="timm")


def test_without_a_network_the_cache_serves(hub: Hub, net: ImageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    push(hub, net)
    from_pretrained(REPO)
    move(monkeypatch, "http://127.0.0.1:9")
    assert same(from_pretrained(REPO), net)
    message = r"Cannot read owner/other\. Got: it is not in the cache, and the hub does not answer"
    with pytest.raises(DownloadError, match=message):
        from_pretrained("owner/other")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert same(from_pretrained(REPO), net)
    message = r"Cannot read owner/other\. Got: it is not in the cache, and HF_HUB_OFFLINE is set"
    with pytest.raises(DownloadError, match=message):
        from_pretrained("owner/other")
    with pytest.raises(DownloadError, match=r"Cannot write owner/net\. Got: HF_HUB_OFFLINE is set"):
        push(Hub(), net)


REFUSALS: dict[str, tuple[tuple[int, dict[str, str]], str]] = {
    "missing": ((404, {"X-Error-Code": "RepoNotFound"}), r"There is no repository owner/net on the hub, or it is priv"),
    "gated": ((403, {"X-Error-Code": "GatedRepo"}), r"The owner of owner/net wants to be asked first.*hf auth login"),
    "revision": ((404, {"X-Error-Code": "RevisionNotFound"}), r"owner/net has no revision 'v2'\. Expected: a branch"),
    "token": (
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        r"The hub does not accept the token, or got none, to \w+ owner/net\. Got: status 401",
    ),
    "rights": ((403, {}), r"The token has no right to \w+ owner/net\. Got: status 403\. Give a token that may \w+ the"),
    "rate": ((429, {"Retry-After": "17"}), r"too many requests from here\. Got: status 429\. Try again in 17 seconds"),
    "rate, no time": ((429, {}), r"Got: status 429\. Try again in some minutes, or log in"),
    "failing": ((500, {}), r"The hub failed to \w+ owner/net\. Got: status 500\. Try again later"),
}


@pytest.mark.parametrize("doing", ["read", "write"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_are_one_sentence_without_the_token(refusal: str, doing: str, hub: Hub, net: ImageModel) -> None:
    hub.refuse, message = REFUSALS[refusal]
    call = partial(from_pretrained, REPO, token=TOKEN) if doing == "read" else partial(push, hub, net)
    with pytest.raises(DownloadError, match=message) as caught:
        call(revision="v2")
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"pytorch_model.bin": b"x", "config.json": b"{}"},
            r"no model\.safetensors, but pytorch_model\.bin\. Expected",
        ),
        ({"model.safetensors": b"x"}, r"Got: no config\.json, but model\.safetensors\."),
        ({}, r"Got: no config\.json and no model\.safetensors\. Expected: model\.safetensors and the config\.json"),
    ],
)
def test_nothing_but_safetensors_is_downloaded(files: dict[str, bytes], message: str, hub: Hub) -> None:
    hub.files[REPO] = files
    with pytest.raises(WeightsFormatError, match=message):
        from_pretrained(REPO)
    assert not any("/resolve/" in line for line in hub.asked)


def test_sizes_are_bounded(hub: Hub, net: ImageModel) -> None:
    push(hub, net)
    hub.sizes["model.safetensors"] = 9 << 30
    hub.asked.clear()
    with pytest.raises(WeightsFormatError, match=r"of owner/net is too large, and was not downloaded\. Got: 9,663,"):
        from_pretrained(REPO)
    assert not any("/resolve/" in line for line in hub.asked)


@pytest.mark.parametrize("name", ["a/b/c", "owner/", "", "../x", "a b/c", "owner/net--x"])
def test_names_that_cannot_be(name: str, hub: Hub, net: ImageModel) -> None:
    for call in (lambda: from_pretrained(name), lambda: push_to_hub(net, name, token=TOKEN)):
        with pytest.raises(UsageError, match="That is no name of a repository on the hub"):
            call()
    assert hub.asked == []


def test_other_mistakes(hub: Hub, net: ImageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"Unknown form\. Got: 'onnx'\. Expected: separable or timm"):
        push(hub, net, form="onnx")
    with pytest.raises(UsageError, match=r"That is no licence's name\. Got: 'MIT\\nx: y'"):
        push(hub, net, license="MIT\nx: y")
    hub.files[REPO] = {"config.json": b"{}", "model.safetensors": b"not that"}
    with pytest.raises(SeparableError, match=r"is no weight file"):
        from_pretrained(REPO)

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingExtraError, match=r'not installed\. pip install "separable\[hub\]"'):
        hub_package()
    with pytest.raises(MissingExtraError):
        create_model("mobilenet_v1", weights=f"hf-hub:{REPO}")


def test_the_card_says_what_it_is(net: ImageModel) -> None:
    names = ("a|b", "<script>x</script>", "line\nbreak", *"cdefghi")
    net.adopt(type(net.input_contract)(**{**vars(net.input_contract), "class_names": names}))
    card = model_card(net, REPO, "separable", license="mit", source="a run")
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "library_name": "separable",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "separable"],
        "license": "mit",
    }
    parameters = sum(parameter.numel() for parameter in net.parameters())
    for line in (
        f"| parameters | {parameters:,} |",
        f"| multiply-adds | {count_macs(net):,} for a picture of 224x224 |",
        "| options | width=0.25 |",
        "| pixels | (pixel / 255 - mean) / std, mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5 |",
        "| batch normalisation | epsilon 0.001 |",
        "| licence | mit |",
        "| source | a run |",
        r"10 classes: a\|b, &lt;script&gt;x&lt;/script&gt;, line break, c,",
        'separable.load_model("hf-hub:owner/net")',
    ):
        assert line in body, line
    unknown = model_card(net, REPO, "separable")
    assert "| licence | unknown |" in unknown
    assert "license:" not in unknown


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v1", "vgg16", "xception"])
def test_multiply_adds_are_the_catalogues(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert count_macs(model) == model_spec(name).macs
