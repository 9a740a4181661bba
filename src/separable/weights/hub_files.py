"""The Hugging Face hub: which files are fetched from it, how much of them, and what each refusal means.

Of a repository only `config.json` and `model.safetensors` are ever downloaded, both of one revision. huggingface-hub is
imported here alone, when asked for. No message repeats what the hub answered, which might repeat a token.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from separable.errors import DownloadError, MissingExtraError, SeparableError, UsageError, WeightsFormatError

__all__ = ["HUB_PREFIX", "fetch_repository", "hub_package", "naming_hub_errors", "split_hub_id"]

HUB_PREFIX = "hf-hub:"
_FILES = {"config.json": 16 << 20, "model.safetensors": 8 << 30}
"""Each with the most bytes that it may have."""
_TIMEOUT = 30.0


def split_hub_id(name: str) -> tuple[str, str | None]:
    """`hf-hub:owner/repo@revision` to `owner/repo` and `revision`, which may be left out."""
    repo_id, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    return repo_id, revision or None


def hub_package() -> Any:
    """huggingface_hub.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        package = importlib.import_module("huggingface_hub")
        for part in ("constants", "errors", "utils"):  # which the package names only once they are imported
            importlib.import_module(f"huggingface_hub.{part}")
        return package
    except ImportError as error:
        raise MissingExtraError("huggingface-hub is not installed", fix='pip install "separable[hub]"') from error


def fetch_repository(
    repo_id: str,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    endpoint: str | None = None,
    token: str | bool | None = None,
) -> Path:
    """A local folder with the `config.json` and `model.safetensors` of a repository.

    What is in the cache already is not fetched again; without a network it is all there is.

    Args:
        repo_id: owner/name.
        revision: branch, tag or commit; the newest of the main branch if None.
        cache_dir: huggingface-hub's own cache if None.
        endpoint: the address of another hub; `$HF_ENDPOINT` or huggingface.co if None.
        token: huggingface-hub's own, from `$HF_TOKEN` or a login, if None.

    Raises:
        MissingExtraError: huggingface-hub is not installed.
        UsageError: `repo_id` cannot be one.
        WeightsFormatError: the repository has no such files, or has huge ones.
        DownloadError: no such repository or revision, no right to read it, too many requests, or no network.
    """
    hub = hub_package()
    with naming_hub_errors(repo_id, "read", revision):
        hub.utils.validate_repo_id(repo_id)
        api = hub.HfApi(endpoint=endpoint, token=token)
        answers = _check_files(hub, api, repo_id, revision)
        options = {"cache_dir": cache_dir, "endpoint": api.endpoint, "token": token, "local_files_only": not answers}
        # The first file by the branch, so that the cache knows where that was; the second of the same commit.
        folder = Path(hub.hf_hub_download(repo_id, "config.json", revision=revision, **options)).parent
        hub.hf_hub_download(repo_id, "model.safetensors", revision=folder.name, **options)
    return folder


def _check_files(hub: Any, api: Any, repo_id: str, revision: str | None) -> bool:
    """See to it that the files are there and not huge; False where there is no network to ask."""
    try:
        info = api.model_info(repo_id, revision=revision, files_metadata=True, timeout=_TIMEOUT)
    except hub.errors.HfHubHTTPError:
        raise
    except (hub.errors.HTTPError, OSError):  # nobody answered
        return False
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or ()}
    if missing := [name for name in _FILES if name not in sizes]:
        raise WeightsFormatError(
            f"The repository {repo_id} cannot be loaded, and nothing was downloaded",
            got=f"no {' and no '.join(missing)}" + _other_weights(sizes),
            expected="model.safetensors and the config.json that separable or timm wrote",
            fix="Files of other kinds may run code when read: convert one that you trust with separable convert",
        )
    for name, limit in _FILES.items():
        if not isinstance(sizes[name], int) or sizes[name] > limit:
            raise WeightsFormatError(
                f"{name} of {repo_id} is too large, and was not downloaded",
                got=f"{sizes[name]:,} bytes" if isinstance(sizes[name], int) else "no size",
                expected=f"at most {limit:,}",
            )
    return True


def _other_weights(names: dict[str, Any]) -> str:
    found = sorted(name for name in names if name.endswith((".bin", ".pth", ".pt", ".h5", ".keras", ".safetensors")))
    return f", but {', '.join(found[:3])}" if found else ""


@contextmanager
def naming_hub_errors(repo_id: str, doing: str, revision: str | None = None) -> Iterator[None]:
    """One sentence for each way in which the hub refuses; `doing` is "read" or "write"."""
    package = hub_package()
    errors = package.errors
    try:
        yield
    except SeparableError:
        raise
    except errors.HFValidationError as error:
        raise UsageError(
            "That is no name of a repository on the hub", got=repr(repo_id)[:100], expected="owner/name"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise _unreachable(repo_id, doing, "HF_HUB_OFFLINE is set") from error
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"The owner of {repo_id} wants to be asked first",
            fix=f"Ask for access on its page of the hub, then log in with: hf auth login (to {doing} it)",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(
            f"{repo_id} has no revision {revision!r}", expected="a branch, a tag or a commit"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"There is no repository {repo_id} on the hub, or it is private",
            fix="Check the name; for a private one log in with: hf auth login",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refused(repo_id, doing, error.response) from error
    except errors.LocalEntryNotFoundError as error:
        offline = package.constants.HF_HUB_OFFLINE
        raise _unreachable(repo_id, doing, "HF_HUB_OFFLINE is set" if offline else "the hub does not answer") from error
    except (errors.EntryNotFoundError, errors.HTTPError, OSError, RuntimeError) as error:
        raise _unreachable(repo_id, doing, f"the hub does not answer ({_root(error)})") from error


def _refused(repo_id: str, doing: str, response: Any) -> DownloadError:
    status = response.status_code
    if status == 401:
        return DownloadError(
            f"The hub does not accept the token, or got none, to {doing} {repo_id}",
            got="status 401",
            fix="Log in with: hf auth login, or give another token",
        )
    if status == 403:
        return DownloadError(
            f"The token has no right to {doing} {repo_id}",
            got="status 403",
            fix=f"Give a token that may {doing} there: tokens are made at the hub, under settings",
        )
    if status == 429:
        wait = str(response.headers.get("Retry-After", ""))
        return DownloadError(
            "The hub got too many requests from here",
            got="status 429",
            fix=f"Try again in {wait} seconds" if wait.isdigit() else "Try again in some minutes, or log in",
        )
    return DownloadError(f"The hub failed to {doing} {repo_id}", got=f"status {status}", fix="Try again later")


def _unreachable(repo_id: str, doing: str, why: str) -> DownloadError:
    here = "it is not in the cache, and " if doing == "read" else ""
    return DownloadError(
        f"Cannot {doing} {repo_id}", got=f"{here}{why}", fix="Check the connection, and the endpoint if you gave one"
    )


def _root(error: BaseException) -> str:
    """The kind of the first cause: its text might hold anything."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
