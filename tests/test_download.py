"""Downloads against a server of our own on this machine: whole, wrong, cut, absent, and two at once."""

import hashlib
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from separable.download import cache_directory, fetch
from separable.errors import DownloadError, HashMismatchError, OutputError, UsageError

BODY = bytes(range(256)) * 4096 + b"the end"  # 1 MiB and a bit: several pieces
SHA256 = hashlib.sha256(BODY).hexdigest()


class Site:
    """What the server does next, and what it was asked."""

    def __init__(self) -> None:
        self.body = BODY
        self.cut_after: list[int] = []  # bytes after which successive answers end early
        self.statuses: list[int] = []  # error statuses of the next answers
        self.ranges = True
        self.tells_length = True
        self.asked: list[str | None] = []


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.statuses:
                self.send_error(state.statuses.pop(0))
                return
            if self.path == "/absent.h5":
                self.send_error(404)
                return
            start = int(re.findall(r"\d+", wanted)[0]) if wanted and state.ranges else 0
            if start >= len(state.body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            if state.tells_length:
                self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            end = start + state.cut_after.pop(0) if state.cut_after else len(state.body)
            self.wfile.write(state.body[start:end])

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def no_half_file(folder: Path) -> bool:
    """Nothing lies under a final name: only parts and locks are allowed to remain."""
    return all(path.suffix in (".part", ".lock") for path in folder.iterdir())


def test_the_right_file_arrives_and_is_asked_for_once(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    seen: list[tuple[int, int | None]] = []
    path = fetch(f"{base}/a/net.h5", SHA256, tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert path.name.endswith("-net.h5")
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert fetch(f"{base}/a/net.h5", SHA256.upper(), tmp_path) == path
    assert len(state.asked) == 1
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_cached_file_is_fetched_again(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    path = fetch(f"{base}/net.h5", SHA256, tmp_path)
    path.write_bytes(BODY[:-1])
    assert fetch(f"{base}/net.h5", SHA256, tmp_path).read_bytes() == BODY
    assert len(state.asked) == 2


def test_a_wrong_file_is_refused_and_deleted(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    state.body = BODY[::-1]
    with pytest.raises(
        HashMismatchError, match=r"is not the published file, and was deleted.*Got: SHA-256 [0-9a-f]{64}"
    ):
        fetch(f"{base}/net.h5", SHA256, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_cut_connection_is_continued_where_it_ended(
    site: tuple[Site, str], tmp_path: Path, tells_length: bool
) -> None:
    state, base = site
    state.cut_after, state.tells_length = [300_001, 5], tells_length
    if tells_length:
        assert fetch(f"{base}/net.h5", SHA256, tmp_path, pause=0).read_bytes() == BODY
        assert state.asked == [None, "bytes=300001-", "bytes=300006-"]
    else:  # nothing tells such an end from the real one but the hash: the beginning is kept from no wrong file
        with pytest.raises(HashMismatchError):
            fetch(f"{base}/net.h5", SHA256, tmp_path, pause=0)
        assert no_half_file(tmp_path)


def test_a_connection_cut_for_good_keeps_its_part_for_the_next_call(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    state.cut_after = [1000, 1000]
    with pytest.raises(
        DownloadError, match=r"Could not download .*ended after 2,000 of .* the 2,000 bytes that arrived"
    ):
        fetch(f"{base}/net.h5", SHA256, tmp_path, attempts=2, pause=0)
    assert no_half_file(tmp_path)
    assert [path.read_bytes() for path in tmp_path.glob("*.part")] == [BODY[:2000]]
    assert fetch(f"{base}/net.h5", SHA256, tmp_path).read_bytes() == BODY
    assert state.asked[-1] == "bytes=2000-"


def test_a_server_without_ranges_starts_again(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    state.cut_after, state.ranges = [70_000], False
    assert fetch(f"{base}/net.h5", SHA256, tmp_path, pause=0).read_bytes() == BODY
    assert state.asked == [None, "bytes=70000-"]


@pytest.mark.parametrize("part", [b"of another file", BODY + b"and more", BODY])
def test_whatever_part_lies_there_the_right_file_results(site: tuple[Site, str], tmp_path: Path, part: bytes) -> None:
    _, base = site
    (tmp_path / f"{SHA256[:12]}-net.h5.part").write_bytes(part)
    assert fetch(f"{base}/net.h5", SHA256, tmp_path).read_bytes() == BODY


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    state.statuses = [503, 429]
    assert fetch(f"{base}/net.h5", SHA256, tmp_path, pause=0).read_bytes() == BODY
    state.asked.clear()
    with pytest.raises(DownloadError, match=r"The server does not give .*absent\.h5\. Got: status 404 .*give its path"):
        fetch(f"{base}/absent.h5", SHA256, tmp_path / "other")
    assert len(state.asked) == 1
    assert no_half_file(tmp_path / "other")


def test_no_network_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"Could not download .*refused.*Check the connection and try again\.$"):
        fetch(f"http://127.0.0.1:{port}/net.h5", SHA256, tmp_path, attempts=2, pause=0)

    def no_names(*_: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(DownloadError, match=r"Could not download .*Name or service not known"):
        fetch("http://example.org/net.h5", SHA256, tmp_path, attempts=1)
    assert no_half_file(tmp_path)


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/net.h5"
        with pytest.raises(DownloadError, match=r"timed out"):
            fetch(address, SHA256, tmp_path, attempts=1, timeout=0.1)


def test_many_at_once_get_one_whole_file(site: tuple[Site, str], tmp_path: Path) -> None:
    state, base = site
    state.cut_after = [100_000, 200_000]
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda _: fetch(f"{base}/net.h5", SHA256, tmp_path, pause=0), range(6)))
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == BODY
    assert len(state.asked) == 3  # one of them downloaded, cut twice; five waited


def test_only_web_addresses_and_only_a_writable_cache(site: tuple[Site, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Only http and https"):
        fetch("file:///etc/hostname", SHA256, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        fetch(f"{site[1]}/net.h5", SHA256, tmp_path / "file")


def test_the_cache_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEPARABLE_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("SEPARABLE_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "separable"
