"""`radbridge check` opens what `up` opens and asks whom it asks: real files, real servers."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.config import Encryption, Store
from radbridge.journal import Journal, keys, sealing
from radbridge.journal.stores import open_store
from radbridge.testing import MemoryIntake
from tests.support import mllp
from tests.support.certificates import Authority
from tests.support.collector import Collector, collecting
from tests.support.oidc_peer import Provider, providing


@dataclass
class World:
    """A site that needs everything, and everything that it needs."""

    folder: Path
    provider: Provider = field(default_factory=Provider)
    collector: Collector = field(default_factory=Collector)
    addresses: dict[str, str] = field(default_factory=dict)

    def file(self, name: str, text: str) -> Path:
        """A file with a secret."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def write(self, **changed: str) -> Path:
        """The site's file; `changed` replace values by their marks."""
        values = {
            "cert": f"{self.folder}/server.pem",
            "token": str(self.file("token", "s3cret")),
            "secret": str(self.file("secret", "0idc")),
            "headers": str(self.file("headers", "x-token: c0llect")),
            "key": str(self.file("key", base64.b64encode(b"k" * 32).decode())),
            "ca": f"{self.folder}/ca.pem",
            "ours": f"{self.folder}/gateway.pem",
            "issuer": self.provider.issuer,
            "endpoint": self.collector.url,
            **self.addresses,
        } | changed
        text = f"""
            [store]
            url = "sqlite:///{self.folder}/site.db"
            [encryption]
            key_file = "{values["key"]}"
            [http]
            tls_cert = "{values["cert"]}"
            tls_key = "{values["cert"]}"
            client_ca = "{values["ca"]}"
            metrics_token_file = "{values["token"]}"
            [access.oidc]
            issuer = "{values["issuer"]}"
            client_id = "radbridge"
            client_secret_file = "{values["secret"]}"
            redirect_url = "https://127.0.0.1/auth/callback"
            roles = {{ it = ["operator"] }}
            [[fhir.clients]]
            id = "pacs"
            scopes = ["system/*.rs"]
            jwks_uri = "{values["issuer"]}/jwks"
            [cdshooks.client_issuers]
            ehr = "{values["issuer"]}/jwks"
            [traces]
            endpoint = "{values["endpoint"]}"
            headers_file = "{values["headers"]}"
            [audit.syslog]
            address = "{values["syslog"]}"
            ca_file = "{values["ca"]}"
            cert_file = "{values["ours"]}"
            [[hl7v2.destinations]]
            name = "ris"
            address = "{values["ris"]}"
            tls = true
            ca_file = "{values["ca"]}"
            cert_file = "{values["ours"]}"
            """
        site = self.folder / "site.toml"
        site.write_text(text)
        return site

    async def check(self, **changed: str) -> tuple[int, dict[str, str], str]:
        """Status, what was wrong with each part (empty: nothing), and all that was said."""
        site = self.write(**changed)
        runner = CliRunner(env={"COLUMNS": "400"})
        done = await asyncio.to_thread(runner.invoke, app, ["check", "--config", str(site)])
        return done.exit_code, read_rows(done.output), done.output


def read_rows(said: str) -> dict[str, str]:
    """What was wrong with each part; a row that is folded is put together."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        if line.startswith("│"):
            part, _, what = (cell.strip() for cell in line.strip("│").split("│"))
            part = part or list(found)[-1]
            found[part] = f"{found.get(part, '')} {what}".strip()
    return found


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    authority = Authority(folder)
    made = World(folder)
    shown = authority.issue("server")
    authority.issue("gateway")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(providing(made.provider))
        made.collector = stack.enter_context(collecting())
        syslog = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=authority.wants(shown))
        await stack.enter_async_context(syslog)
        made.addresses["syslog"] = "{}:{}".format(*syslog.sockets[0].getsockname())
        table: dict[str, Any] = {"cert": shown, "key": shown, "client_ca": authority.ca}
        ris = await stack.enter_async_context(mllp.listening(MemoryIntake(), tls=table))
        made.addresses["ris"] = ris.address
        yield made


async def test_all_is_well(tmp_path: Path) -> None:
    """A row for each file and each peer, every one asked, and nothing made: not even the journal's file."""
    async with world(tmp_path) as site:
        status, parts, said = await site.check()
    assert status == 0, said
    assert parts.keys() >= {
        "config",
        "store",
        "encryption",
        "encryption.key_file",
        "http",
        "http.tls_cert",
        "http.tls_key",
        "http.client_ca",
        "http.metrics_token_file",
        "access.oidc.client_secret_file",
        f"provider {site.provider.issuer}",
        "keys of pacs",
        "keys of ehr",
        f"traces {site.collector.url}",
        "traces.headers_file",
        "audit repository",
        "audit.syslog.cert_file",
        "destination ris",
        "hl7v2.destinations.ris.ca_file",
    }
    assert not any(parts.values())
    assert "warning" not in said
    assert [headers["x-token"] for headers in site.collector.headers] == ["c0llect"]
    assert not site.collector.spans
    assert not any(path.exists() for path in Store(url=f"sqlite:///{tmp_path}/site.db").files)
    assert not any(secret in said for secret in ("s3cret", "0idc", "c0llect", base64.b64encode(b"k" * 32).decode()))


async def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Each file that can't be used has its row with its path and why, and status 2 says that it is the config."""
    async with world(tmp_path) as site:
        status, parts, said = await site.check(
            cert=f"{tmp_path}/gone.pem",
            token=str(site.file("empty", "")),
            secret=f"{tmp_path}/nobody",
            headers=str(site.file("headers2", "no colon")),
            key=str(site.file("short", "c2hvcnQ=")),
            ca=str(site.file("rubbish.pem", "rubbish")),
        )
    assert status == 2, said
    wrong = {
        "http.tls_cert": "gone.pem can't be read: No such file",
        "http.tls_key": "gone.pem can't be read: No such file",
        "http.metrics_token_file": "empty is empty",
        "access.oidc.client_secret_file": "nobody can't be read",
        "encryption": "must hold 32 bytes",
        "traces": "each line must be `name: value`",
        "wire hl7v2": "hl7v2.destinations: 'ris': a certificate, key or authority can't be used",
        "wire syslog": "audit.syslog: a certificate, key or authority can't be used",
        "http": "access.oidc.client_secret_file",
        f"provider {site.provider.issuer}": "access.oidc.client_secret_file",
    }
    assert {part: parts[part] for part, why in wrong.items() if why not in parts[part]} == {}


async def test_whoever_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider, a collector, a repository and a destination that say no, or nothing, each with why: status 1."""
    async with world(tmp_path) as site:
        site.provider.metadata["issuer"] = "https://else.example"
        site.collector.status = 403
        stranger = Authority(tmp_path, "else").issue("stranger")
        status, parts, said = await site.check(ours=str(stranger))
        assert status == 1, said
        assert "is no discovery document of this issuer" in parts[f"provider {site.provider.issuer}"]
        assert "HTTP 403" in parts[f"traces {site.collector.url}"]
        assert "hangs up at once" in parts["audit repository"]
        assert "does it take our certificate?" in parts["destination ris"]
        nobody = "127.0.0.1:1"
        status, parts, said = await site.check(
            issuer=f"http://{nobody}", endpoint=f"http://{nobody}/v1/traces", syslog=nobody, ris=nobody
        )
        assert status == 1, said
        away = {
            f"provider http://{nobody}": "can't be asked",
            "keys of pacs": "can't be fetched",
            "keys of ehr": "can't be fetched",
            f"traces http://{nobody}/v1/traces": "can't be reached",
            "audit repository": "takes syslog",
            "destination ris": "no connection",
        }
        assert {part: parts[part] for part, why in away.items() if why not in parts[part]} == {}
        monkeypatch.setattr("radbridge.cli.check.PING_S", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            status, parts, said = await site.check(ris="{}:{}".format(*silent.getsockname()))
    assert parts["destination ris"] == "no answer within 0.3 s"


async def test_files_that_are_open_to_others(tmp_path: Path) -> None:
    """Each secret and the journal with the chmod that closes it; a group may read, and certificates are for all."""
    async with world(tmp_path) as site:
        modes = {"open-token": 0o604, "group-secret": 0o640, "open-key.pem": 0o660, "site.db": 0o644, "ca.pem": 0o644}
        for name, mode in modes.items():
            (tmp_path / name).touch()
            (tmp_path / name).chmod(mode)
        files = {"token": "open-token", "secret": "group-secret", "ours": "open-key.pem"}
        _, _, said = await site.check(**{key: f"{tmp_path}/{name}" for key, name in files.items()})
    told = [line.removeprefix("warning: ").split(": ") for line in said.splitlines() if line.startswith("warning")]
    assert [(key, what.split()[-3:]) for key, *_, what in told] == [
        ("store.url", ["chmod", "640", f"{tmp_path}/site.db"]),
        ("hl7v2.destinations.ris.cert_file", ["chmod", "640", f"{tmp_path}/open-key.pem"]),
        ("http.metrics_token_file", ["chmod", "600", f"{tmp_path}/open-token"]),
    ]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers on a slow machine have their time."""
    for limit in ("radbridge.cli.check.PING_S", "radbridge_adapters.security.fetching.TIMEOUT_S"):
        monkeypatch.setattr(limit, 60.0)
    monkeypatch.setattr("radbridge_adapters.otlp.TIMEOUT_S", 60.0)


def _command(folder: Path, text: str) -> str:
    program = folder / f"kms-{secrets.token_hex(4)}"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o700)
    return str(program)


def _check_key(folder: Path, text: str) -> tuple[int, str]:
    config = folder / "site.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{folder}/site.db"\n[encryption]\n{text}\n')
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["check", "--config", str(config)])
    return done.exit_code, "".join(line for line in done.output.splitlines() if line.startswith("│ encryption "))


def test_a_key_service_is_tried(tmp_path: Path) -> None:
    """Its command wraps and unwraps once; one that fails, or gives back something else, is found before the start."""
    assert _check_key(tmp_path, f'key_command = ["{_command(tmp_path, "cat")}"]')[0] == 0
    for text, told in (("exit 3", "status 3 for `wrap`"), ("cat >&2; head -c 44 /dev/zero | tr '\\0' A", "")):
        status, row = _check_key(tmp_path, f'key_command = ["{_command(tmp_path, text)}"]')
        assert (status, told in row, "│ no" in row) == (1, True, True)


def test_a_key_service_has_its_time_for_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys the journal has, a service that answers each question in time is well."""
    command = _command(tmp_path, "cat")
    held = open_store(f"sqlite:///{tmp_path}/site.db", Encryption(key_command=(command,)))
    ring = sealing.sealer_of(held.writer.dialect)
    assert isinstance(ring, keys.Ring)
    for _ in range(3):
        with held.begin() as conn:
            ring.rotate(conn)
    held.dispose()
    Path(command).write_text("#!/bin/sh\nsleep 0.1\ncat\n")
    monkeypatch.setattr("radbridge.cli.check.PING_S", 0.3)  # of six questions
    monkeypatch.setattr("radbridge.cli.check.KEY_S", 0.3, raising=False)  # one limit for all of them
    status, row = _check_key(tmp_path, f'key_command = ["{command}"]')
    assert "│ ok" in row, (status, row)


async def test_the_key_of_another_journal(tmp_path: Path) -> None:
    """A key that doesn't open the journal that is there is found, and so is an encrypted journal without any."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for file in (right, wrong):
        file.write_bytes(base64.b64encode(os.urandom(32)))
        file.chmod(0o600)
    store = Store(url=f"sqlite:///{tmp_path}/site.db")
    await (await Journal.open(store, encryption=Encryption(key_file=right))).close()
    before = (tmp_path / "site.db").read_bytes()
    assert (await asyncio.to_thread(_check_key, tmp_path, f'key_file = "{right}"'))[0] == 0
    status, row = await asyncio.to_thread(_check_key, tmp_path, f'key_file = "{wrong}"')
    assert status == 1
    assert "isn't the one that the journal is encrypted under" in row
    assert (await asyncio.to_thread(_check_key, tmp_path, ""))[0] == 1
    assert (tmp_path / "site.db").read_bytes() == before
