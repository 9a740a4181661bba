"""A Hugging Face hub in this process: the few routes that huggingface_hub 2.4 uses to write and read a model."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["TOKEN", "Hub", "running_hub"]

TOKEN = "hf_" + "s3cret" * 5
_LARGE = 10_000


@dataclass
class Hub:
    """What it holds, and what it was asked."""

    endpoint: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By repository, and `repository@branch` for other branches than main."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None
    """Status and headers of every answer from now on."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes to lie about."""

    def commit(self, key: str) -> str:
        """The hash of what is there now."""
        content = {name: hashlib.sha256(value).hexdigest() for name, value in self.files[key].items()}
        return hashlib.sha1(json.dumps(content).encode()).hexdigest()

    def find(self, repo: str, revision: str) -> str | None:
        """The key of the repository at that branch or commit."""
        for key in self.files:
            name, _, branch = key.partition("@")
            if name == repo and revision in (branch or "main", self.commit(key)):
                return key
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def answer(self, status: int, content: bytes | dict[str, Any] = b"", **headers: str) -> None:
        body = json.dumps(content).encode() if isinstance(content, dict) else content
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.refuse is not None:
            status, headers = self.hub.refuse
            self.answer(status, {"error": f"seen {self.headers.get('Authorization')}"}, **headers)
        elif self.command in ("GET", "HEAD"):
            self.read(path)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}" and not path.startswith("/upload/"):
            self.answer(401, {"error": "who are you"}, X_Error_Message="Invalid credentials in Authorization header")
        else:
            self.write(path, body)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def read(self, path: str) -> None:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            key = self.at(match[1], match[2] or "main")
            if key:
                siblings = [
                    {"rfilename": name, "size": self.hub.sizes.get(name, len(content))}
                    for name, content in self.hub.files[key].items()
                ]
                self.answer(200, {"id": match[1], "sha": self.hub.commit(key), "siblings": siblings})
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            key = self.at(match[1], match[2])
            content = self.hub.files[key].get(match[3]) if key else None
            if key and content is None:
                self.answer(404, X_Error_Code="EntryNotFound")
            elif key and content is not None:
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.answer(200, content, ETag=etag, X_Repo_Commit=self.hub.commit(key))
        else:
            self.answer(404)

    def at(self, repo: str, revision: str) -> str | None:
        key = self.hub.find(repo, revision)
        if key is None:
            code = "RevisionNotFound" if repo in self.hub.files else "RepoNotFound"
            self.answer(404, X_Error_Code=code)
        return key

    def write(self, path: str, body: bytes) -> None:
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            there = repo in self.hub.files
            self.hub.files.setdefault(repo, {})
            self.answer(409 if there else 200, {"url": f"{self.hub.endpoint}/{repo}", "name": repo})
        elif path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            self.hub.files.setdefault(f"{match[1]}@{match[2]}", {})
            self.answer(200, {})
        elif re.fullmatch(r"/api/models/.+/preupload/.+", path):
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["size"] > _LARGE else "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self.answer(200, {"files": files})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{self.hub.endpoint}/upload/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif path.startswith("/upload/"):
            assert hashlib.sha256(body).hexdigest() == path.removeprefix("/upload/")
            self.hub.uploads[path.removeprefix("/upload/")] = body
            self.answer(200)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            self.committed(match[1] if match[2] == "main" else f"{match[1]}@{match[2]}", body)
        else:
            self.answer(404)

    def committed(self, key: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.hub.commits.append(value["summary"])
            elif entry["key"] == "file":
                self.hub.files[key][value["path"]] = base64.b64decode(value["content"])
            else:
                self.hub.files[key][value["path"]] = self.hub.uploads[value["oid"]]
        url = f"{self.hub.endpoint}/{key.partition('@')[0]}/commit/{self.hub.commit(key)}"
        self.answer(200, {"commitUrl": url, "commitOid": self.hub.commit(key), "success": True})


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub at a free port, until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
