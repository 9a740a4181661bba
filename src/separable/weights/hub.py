"""Models to and from the Hugging Face hub."""

import tempfile
from pathlib import Path
from typing import Literal

from separable.errors import UsageError
from separable.files import write_bytes_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights.export_timm import save_timm
from separable.weights.hub_files import fetch_repository, hub_package, naming_hub_errors, split_hub_id
from separable.weights.load import load_weights
from separable.weights.model_card import model_card
from separable.weights.recognise import naming_strangers, recognise
from separable.weights.save import load_model, save_model
from separable.weights.source import open_source

__all__ = ["from_pretrained", "push_to_hub"]


def push_to_hub(
    model: ImageModel,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    revision: str | None = None,
    form: Literal["separable", "timm"] = "separable",
    license: str | None = None,
    source: str | None = None,
    message: str = "Add the model",
    allow_difference: bool = False,
    endpoint: str | None = None,
) -> str:
    """Upload `model` in one commit: `model.safetensors`, `config.json`, and a model card where there is none yet.

    Args:
        repo_id: owner/name; made where it is not there.
        token: huggingface-hub's own, from `$HF_TOKEN` or a login, if None.
        private: whether a new repository is; an old one stays as it is.
        revision: the branch to commit to, made where it is not there; the main one if None.
        form: our own files, or timm's (see `save_timm` for what it has to fold, and for `allow_difference`).
        license, source: for the card, which otherwise says that they are unknown.
        endpoint: the address of another hub; `$HF_ENDPOINT` or huggingface.co if None.

    Returns:
        The address of the commit.

    Raises:
        MissingExtraError: huggingface-hub is not installed.
        UsageError: a `repo_id` or a `form` that cannot be.
        WeightsMismatchError: timm has no such network.
        DownloadError: no right to write there, too many requests, or no network; nothing was committed.
    """
    if form not in ("separable", "timm"):
        raise UsageError("Unknown form", got=repr(form), expected="separable or timm")
    hub = hub_package()
    with naming_hub_errors(repo_id, "write"):
        hub.utils.validate_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        notes: tuple[str, ...] = ()
        if form == "timm":
            notes = save_timm(model, folder, allow_difference=allow_difference, license=license)["notes"]
        else:
            save_model(model, folder)
        card = model_card(model, repo_id, form, license=license, source=source, notes=notes)
        with naming_hub_errors(repo_id, "write", revision):
            api = hub.HfApi(endpoint=endpoint, token=token)
            made = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            if revision is not None:
                api.create_branch(made, branch=revision, exist_ok=True)
            if not api.file_exists(made, "README.md", revision=revision):  # what somebody wrote there stays
                write_bytes_atomically(folder / "README.md", card.encode(errors="backslashreplace"))
            # Not upload_folder, which may make several commits: a reader would find half a model.
            files = [hub.CommitOperationAdd(file.name, file) for file in sorted(folder.iterdir())]
            commit = api.create_commit(made, files, commit_message=message, revision=revision)
            return str(commit.commit_url)


def from_pretrained(
    repo_id: str,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> ImageModel:
    """The model of a repository that separable or timm wrote, in evaluation mode.

    Nothing but `config.json` and `model.safetensors` is downloaded, and no code of the repository is run. timm's
    networks run with timm's numerics, and take pictures as its `config.json` says.

    Args:
        repo_id: owner/name, with or without "hf-hub:" before it and "@revision" behind it.
        revision: branch, tag or commit; the newest of the main branch if None.
        cache_dir: huggingface-hub's own cache if None.
        endpoint: the address of another hub; `$HF_ENDPOINT` or huggingface.co if None.
        token: huggingface-hub's own, from `$HF_TOKEN` or a login, if None.

    Raises:
        As `fetch_repository`; WeightsFormatError, WeightsMismatchError: its files are damaged, or of no network here.
    """
    name, tagged = split_hub_id(repo_id)
    folder = fetch_repository(name, revision or tagged, cache_dir, endpoint, token)
    opened = open_source(folder / "model.safetensors")
    if opened.config and "name" in opened.config:
        return load_model(folder)
    found = recognise(opened)
    model = build_model(found.model, found.num_classes, **found.options)
    with naming_strangers(opened, model.name):
        load_weights(model, opened.path)
    return model.eval()
