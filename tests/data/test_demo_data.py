"""The pictures of `separable demo`: the same ones every time, whole or not at all."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.digits import write_digits
from separable.data.folder import read_folder
from separable.data.photos import fetch_photos
from separable.errors import DownloadError, HashMismatchError, OutputError


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("demo") / "digits")


def test_digits_are_those_of_scikit_learn(digits: Path) -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    paths = {int(path.stem): path for path in digits.glob("*/*/*.png")}
    assert sorted(paths) == list(range(1797))
    for index in (0, 777, 1796):
        assert paths[index].parent.name == str(source.target[index])
        with Image.open(paths[index]) as opened:
            assert (opened.mode, opened.size) == ("L", (32, 32))
            small = np.asarray(opened.resize((8, 8), Image.Resampling.BOX), float)
        assert np.corrcoef(small.ravel(), source.images[index].ravel())[0, 1] > 0.98, "enlarged, not changed"


def test_a_fifth_of_every_class_is_held_out_and_it_is_always_the_same(digits: Path) -> None:
    data = read_folder(digits)
    assert (len(data.train), len(data.val)) == (1433, 364)
    for label in range(10):
        held_out, rest = int((data.val.labels == label).sum()), int((data.train.labels == label).sum())
        assert held_out / (held_out + rest) >= 0.2
    listed = "\n".join(sorted(data.val.paths)).encode()
    assert hashlib.sha256(listed).hexdigest()[:16] == "d2685e61217337bc"


def test_digits_are_written_once_and_nothing_is_overwritten(digits: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in digits.rglob("*.png")}
    assert write_digits(digits) == digits
    assert {path: path.stat().st_mtime_ns for path in digits.rglob("*.png")} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="does not hold the 1797 digits"):
        write_digits(tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        write_digits(tmp_path / "file" / "digits")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine", "thesis.txt"]


def archive(members: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo("flower_photos/out")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            tar.addfile(entry)
    return buffer.getvalue()


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A local server: its address, and the files it gives."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.strip("/"))
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    server.server_close()
    thread.join()


def test_photos_are_fetched_and_unpacked(served: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    address, files = served
    content = archive({"flower_photos/daisy/1.jpg": b"1", "flower_photos/rose/2.jpg": b"2", "flower_photos/L.txt": b""})
    files["flowers.tgz"] = content
    known = hashlib.sha256(content).hexdigest()
    arguments = {"url": f"{address}/flowers.tgz", "sha256": known, "cache_dir": tmp_path / "cache"}
    seen: list[int] = []
    folder = fetch_photos(tmp_path / "data" / "photos", lambda done, _: seen.append(done), **arguments)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")) == [
        "daisy/1.jpg",
        "rose/2.jpg",
    ]
    assert seen[-1] == len(content)
    files.clear()
    assert fetch_photos(tmp_path / "data" / "photos", **arguments) == folder, "unpacked already"
    assert fetch_photos(tmp_path / "again" / "photos", **arguments).is_dir(), "fetched already"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["photos"]


def test_photos_that_are_not_the_published_ones_leave_nothing(
    served: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    address, files = served
    files["flowers.tgz"] = b"something else"
    with pytest.raises(HashMismatchError):
        fetch_photos(tmp_path / "photos", url=f"{address}/flowers.tgz", sha256="0" * 64, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "photos").exists()


@pytest.mark.parametrize("evil", ["path", "link"])
def test_an_archive_cannot_write_elsewhere(served: tuple[str, dict[str, bytes]], tmp_path: Path, evil: str) -> None:
    address, files = served
    names = {"flower_photos/a.jpg": b"1"} | ({"../../evil.jpg": b"2"} if evil == "path" else {})
    content = archive(names, link="/etc/passwd" if evil == "link" else None)
    files["flowers.tgz"] = content
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        fetch_photos(
            tmp_path / "deep" / "photos",
            url=f"{address}/flowers.tgz",
            sha256=hashlib.sha256(content).hexdigest(),
            cache_dir=tmp_path / "cache",
        )
    assert not list(tmp_path.rglob("*.jpg"))
    assert list((tmp_path / "deep").iterdir()) == []
