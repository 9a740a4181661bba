"""Fetching published files: cached, resumed, retried, and never trusted before their SHA-256 matches."""

import contextlib
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from separable.errors import DownloadError, HashMismatchError, OutputError, UsageError
from separable.files import fsync_directory, make_directory

__all__ = ["cache_directory", "fetch", "sha256_of"]

Progress = Callable[[int, int | None], None]
_CHUNK = 1 << 18
_MAX_BYTES = 8 << 30  # nothing published here is near this; a server that never stops must not fill the disk
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that another attempt may cure


class _Cut(Exception):
    """This attempt failed in a way that another one may cure."""


@dataclass(frozen=True)
class _Job:
    url: str
    part: Path
    timeout: float
    progress: Progress | None


def cache_directory() -> Path:
    """`$SEPARABLE_CACHE`, or `~/.cache/separable`."""
    named = os.environ.get("SEPARABLE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "separable"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(
    url: str,
    sha256: str,
    cache_dir: Path | str | None = None,
    progress: Progress | None = None,
    *,
    attempts: int = 4,
    pause: float = 0.5,
    timeout: float = 30.0,
) -> Path:
    """Return the local path of the file at `url` whose SHA-256 is `sha256`, downloading what is missing.

    A file that is in the cache and still has its hash is returned without touching the network. What a cut connection
    delivered stays beside it as `<name>.part` and is continued by the next attempt or the next call; the final name
    appears only when the whole file is there and its hash right. Two processes that want the same file take turns.

    Args:
        progress: called with (bytes so far, bytes in all or None) after each piece.
        attempts: failures in a row, without a megabyte gained between them, that end the download.
        pause: seconds before the second attempt; doubles with every further one.
        timeout: seconds without a byte after which an attempt counts as cut.

    Raises:
        UsageError: `url` is not http or https.
        DownloadError: no network, refused, cut for good, or not on the server.
        HashMismatchError: the whole file arrived and is not the published one; nothing of it is kept.
        OutputError: the cache folder cannot be written.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError("Only http and https addresses are downloaded", got=url)
    sha256 = sha256.lower()
    folder = Path(cache_dir) if cache_dir is not None else cache_directory()
    make_directory(folder)
    final = folder / f"{sha256[:12]}-{_file_name(url)}"
    with _turn(folder / f"{final.name}.lock"):
        if final.exists() and sha256_of(final) == sha256:
            return final
        job = _Job(url, folder / f"{final.name}.part", timeout, progress)
        resumed = _size(job.part) > 0
        _download(job, attempts, pause)
        if resumed and sha256_of(job.part) != sha256:
            job.part.unlink()  # what was there may have been another file's beginning: once more, from nothing
            _download(job, attempts, pause)
        got = sha256_of(job.part)
        if got != sha256:
            job.part.unlink()
            raise HashMismatchError(
                f"{url} is not the published file, and was deleted",
                got=f"SHA-256 {got}",
                expected=sha256,
                fix="Try again; if it happens again, something between here and the server alters the file",
            )
        os.replace(job.part, final)
        fsync_directory(folder)
    return final


def _file_name(url: str) -> str:
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) or "file"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait for, and hold, the right to write one cached file. The empty lock file stays: removing it would race."""
    try:
        handle = open(path, "ab")  # noqa: SIM115 - closed by the with below; only the opening may raise OutputError
    except OSError as error:
        raise OutputError(f"Cannot write {path}", got=error.strerror, fix="Set SEPARABLE_CACHE") from error
    with handle:
        if sys.platform != "win32":  # without locks there, two downloads at once end in a wrong hash, not a wrong file
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(job: _Job, attempts: int, pause: float) -> None:
    """Fill `job.part` to the server's last byte."""
    failures = 0
    while True:
        before = _size(job.part)
        try:
            _attempt(job, before)
        except _Cut as cut:
            have = _size(job.part)
            failures = 1 if have - before >= 1 << 20 else failures + 1
            if failures >= attempts:
                raise DownloadError(
                    f"Could not download {job.url}",
                    got=str(cut),
                    fix=f"Check the connection and try again; the {have:,} bytes that arrived are kept and continued"
                    if have
                    else "Check the connection and try again",
                ) from cut
            time.sleep(pause * 2 ** (failures - 1))
        else:
            return


def _attempt(job: _Job, offset: int) -> None:
    """One request: continue at `offset` where the server can, else from the first byte."""
    headers = {"User-Agent": "separable", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(job.url, headers=headers)  # noqa: S310 - fetch() admits http and https only
    try:
        response = urllib.request.urlopen(request, timeout=job.timeout)  # noqa: S310 - likewise
    except urllib.error.HTTPError as error:
        _refused(job, error)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(_why(error)) from error
    with response:
        start, total = _extent(response, offset)
        _receive(job, response, start, total)


def _refused(job: _Job, error: urllib.error.HTTPError) -> None:
    error.close()
    if error.code == 416:  # nothing after what we have: it is whole, or not this file's beginning; the hash decides
        return
    if error.code in _PASSING:
        raise _Cut(f"status {error.code} {error.reason}") from error
    raise DownloadError(
        f"The server does not give {job.url}",
        got=f"status {error.code} {error.reason}",
        fix="Check the address, or download the file by other means and give its path",
    ) from error


def _extent(response: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
    """First byte that this answer holds, and the size of the whole file where the server tells."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status == 206 and match and int(match[1]) == offset:
        return offset, None if match[2] == "*" else int(match[2])
    if response.status != 200:
        raise _Cut(f"an answer with status {response.status} that does not continue at byte {offset}")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _receive(job: _Job, response: http.client.HTTPResponse, start: int, total: int | None) -> None:
    done = start
    try:
        out = open(job.part, "ab" if start else "wb")  # noqa: SIM115 - closed below; opening has its own error
    except OSError as error:
        raise _unwritable(job.part, error) from error
    with out:
        while True:
            try:
                piece = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(f"{_why(error)} after {done:,} bytes") from error
            if not piece:
                break
            done += len(piece)
            if done > _MAX_BYTES:
                raise DownloadError(f"{job.url} does not end", got=f"{done:,} bytes", expected=f"under {_MAX_BYTES:,}")
            try:
                out.write(piece)
            except OSError as error:
                raise _unwritable(job.part, error) from error
            if job.progress is not None:
                job.progress(done, total)
        if total is not None and done < total:
            raise _Cut(f"the connection ended after {done:,} of {total:,} bytes")
        out.flush()
        os.fsync(out.fileno())


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot write {path}", got=error.strerror or str(error), fix="Free some space or set SEPARABLE_CACHE"
    )


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(reason).__name__
