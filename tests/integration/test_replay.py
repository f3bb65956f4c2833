"""`radbridge replay`: what came in once more, where it can reach nobody."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError
from radbridge.flow.intake import JournalIntake
from radbridge.flow.replaying import JOURNAL
from radbridge.gateway import Gateway, make_wires
from radbridge.journal import Journal
from radbridge.metrics import Metrics
from radbridge.wire import FileForm, Received
from tests.support.certificates import Authority
from tests.support.gateway import free_port
from tests.support.ris import Ris
from tests.support.stub_model import drafting

ATTEMPTS = """
import asyncio, json, os, socket, subprocess, sys, urllib.request
from radbridge.errors import SandboxBreach
from radbridge.flow.replaying import shut_in
port = int(sys.argv[1])
shut_in(("127.0.0.1", port))
async def stream(): await asyncio.open_connection("127.0.0.1", port + 1)
attempts = {
    "connect": lambda: socket.socket().connect(("127.0.0.1", port + 1)),
    "connect_ex": lambda: socket.socket().connect_ex(("192.0.2.1", 2575)),
    "sendto": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "unix": lambda: socket.socket(socket.AF_UNIX).connect("/run/x"),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "name": lambda: socket.getaddrinfo("ris.example", 2575),
    "asyncio": lambda: asyncio.run(stream()),
    "urllib": lambda: urllib.request.urlopen("http://192.0.2.1/"),
    "process": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "model": lambda: socket.create_connection(("127.0.0.1", port)),
}
told = {}
for name, attempt in attempts.items():
    try:
        attempt()
        told[name] = "done"
    except BaseException as error:
        told[name] = type(getattr(error, "reason", error)).__name__  # urllib wraps what stopped it
print(json.dumps(told))
"""


def test_the_wall_stands() -> None:
    """Whatever library tries it, nothing but the model server's port is reached, nothing listens, nothing is run."""
    port = free_port()
    answer = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, str(port)], capture_output=True, text=True, check=True, timeout=60
    )
    told = json.loads(answer.stdout)
    assert told.pop("model") == "ConnectionRefusedError"  # it got as far as the port, where nobody is
    assert set(told.values()) == {"SandboxBreach"}, told


async def test_a_replay_harms_nobody(tmp_path: Path) -> None:
    """The same drafts come out as files, the destination sees no connection, and no gateway opens the sandbox."""
    reached = 0

    def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.close()

    peer = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = peer.sockets[0].getsockname()[1]
    config, into = tmp_path / "site.toml", tmp_path / "sandbox"
    config.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/site.db"\n'
        f'[[hl7v2.destinations]]\nname = "dictation"\naddress = "127.0.0.1:{port}"\n'
    )
    await fill(config)
    await replay(config, into)
    peer.close()
    assert reached == 0
    written = [file.read_bytes() for file in sorted((into / "out" / "dictation").iterdir())]
    assert len(written) == 3  # a draft, its withdrawal, the draft of the new text
    assert b"|6 mm nodule." in written[0]
    assert b"|8 mm nodule." in written[2]
    assert into.stat().st_mode & 0o077 == 0
    config.write_text(f'[store]\nurl = "sqlite:///{into}/{JOURNAL}"\n')
    with pytest.raises(ConfigError, match="replay"):
        async with Gateway(load_site(config)):
            pass


async def test_a_model_server_that_wants_a_certificate(tmp_path: Path) -> None:
    """Of `--model https://…` is believed what `[model]` says of trust, and it gets our certificate."""
    authority, config = Authority(tmp_path), tmp_path / "site.toml"
    config.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/site.db"\n'
        f'[model]\nca_file = "{authority.ca}"\ncert_file = "{authority.issue("gateway")}"\n'
    )
    await fill(config)
    async with drafting(authority.wants(authority.issue("server"))) as server:
        await replay(config, tmp_path / "sandbox", "--model", server.url)
    assert server.asked_for("/v1/drafts")


async def replay(config: Path, into: Path, *more: str) -> None:
    """The command, in a process of its own: its wall can't be taken down."""
    command = ["replay", "--from", "2026-01-01", "--to", "2100-01-01", "--into", str(into), "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "radbridge", *command, *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def fill(config: Path) -> None:
    """Two saves of one report, as a gateway took them in."""
    site = load_site(config)
    journal = await Journal.open(site.store)
    intake = JournalIntake(journal, Metrics(), lambda: None)
    [form] = [wire.files for wire in make_wires(site, intake) if wire.name == "hl7v2"]
    assert isinstance(form, FileForm)
    ris = Ris(accession="A1")
    for save, findings in enumerate(("There is a 6 mm nodule. No effusion.", "There is an 8 mm nodule. No effusion.")):
        for filed in form.read(ris.dictated(findings, save=save)):
            assert isinstance(filed.message, Received)
            await intake.accept(filed.message)
    await journal.close()
