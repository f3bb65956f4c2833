"""Nothing is fetched from a model hub unless the config says so."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from radbridge.errors import ConfigError
from radbridge_model_server.models.hub import fetch_base
from radbridge_model_server.settings import Settings

COMMIT = "c" * 40
FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"pickle"}


class Hub(BaseHTTPRequestHandler):
    """As much of a model hub as one download needs."""

    asked: list[str]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _answer(self, *, body: bool) -> None:
        type(self).asked.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if self.path.startswith("/api/models/made/up"):
            listed = [{"type": "file", "path": f, "size": len(c), "oid": "0" * 40} for f, c in FILES.items()]
            is_tree = "/tree/" in self.path
            siblings = [{"rfilename": f} for f in FILES]
            content = json.dumps(listed if is_tree else {"id": "made/up", "sha": COMMIT, "siblings": siblings}).encode()
        elif name in FILES:
            content = FILES[name]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A hub on this machine, and the paths that it was asked for."""
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setenv(limit, "600")
    yield Hub.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_base_is_fetched_when_the_config_says_so(hub: list[str], tmp_path: Path) -> None:
    """With `hub` and nothing there the folder comes whole, without pickles."""
    base = tmp_path / "models/base"
    fetch_base(Settings(base=base, hub="made/up"))
    assert {path.name for path in base.iterdir() if path.is_file()} == set(FILES) - {"pytorch_model.bin"}
    assert (base / "model.safetensors").read_bytes() == b"weights"
    asked = len(hub)
    fetch_base(Settings(base=base, hub="made/up"))
    assert len(hub) == asked


def test_nothing_is_fetched_otherwise(hub: list[str], tmp_path: Path) -> None:
    """Without `hub`, and with a base in its place, nobody is asked."""
    fetch_base(Settings())
    fetch_base(Settings(hub="made/up"))
    assert hub == []


def test_the_library_is_not_even_imported() -> None:
    """The module that fetches leaves the hub's library alone until there is something to fetch."""
    code = "import sys, radbridge_model_server.models.hub; sys.exit('huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("repo", ["made/other", "not a name"])
def test_a_failure_says_what_to_do(hub: list[str], tmp_path: Path, repo: str) -> None:
    """A hub that doesn't have the model, or isn't there, ends in ConfigError with the way out, and no half folder."""
    base = tmp_path / "base"
    with pytest.raises(ConfigError, match=rf"hub: {repo} can't be fetched .*put its files into .*HTTPS_PROXY"):
        fetch_base(Settings(base=base, hub=repo))
    assert not base.exists()
