"""`radbridge users` and `radbridge apikeys`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner, Result

from radbridge.access import Role
from radbridge.cli.app import app
from radbridge.config import Store
from radbridge.journal import accounts, api_keys, passwords
from radbridge.journal.schema import audit_pending
from radbridge.journal.stores import Stores, open_store
from tests.support import people

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", people.COST)


@pytest.fixture
def store(tmp_path: Path) -> Stores:
    return open_store(Store(url=f"sqlite:///{tmp_path}/radbridge.db"))


@pytest.fixture
def run(tmp_path: Path, store: Stores) -> Run:
    """The command line at a site with a journal."""
    (tmp_path / "site.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/radbridge.db"\n')
    (tmp_path / "password").write_text(people.PASSWORD + "\n")

    def invoke(*words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(tmp_path / "site.toml")], input=given)

    return invoke


def test_nobody_waits_for_a_password_to_be_typed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is asked for, the journal can be written: the gateway goes on acknowledging."""
    asked = []

    def prompt(*_: object, **__: object) -> str:
        with closing(sqlite3.connect(tmp_path / "radbridge.db", timeout=0)) as gateway:
            gateway.execute("BEGIN IMMEDIATE")
        asked.append(True)
        return people.PASSWORD

    monkeypatch.setattr(typer, "prompt", prompt)
    assert run("users", "add", "alice", "--role", "viewer").exit_code == 0
    assert run("users", "password", "alice").exit_code == 0
    assert len(asked) == 2


def test_an_account_from_its_making_to_its_end(run: Run, store: Stores, tmp_path: Path) -> None:
    """Made, listed, given other roles and another password, closed and opened; each step is in the audit trail."""
    file = ("--password-file", str(tmp_path / "password"))
    made = run("users", "add", "alice", "--role", "viewer", *file)
    assert made.exit_code == 0, made.output
    assert run("users", "add", "alice", "--role", "viewer", *file).exit_code == 2
    assert "alice" in run("users", "list").output
    assert run("users", "roles", "alice", "--role", "operator", "--role", "trainer").exit_code == 0
    assert run("users", "password", "alice", given="another long one\nanother long one\n").exit_code == 0
    with store.connect() as conn:
        found = accounts.find(conn, "alice")
    assert found is not None
    assert found.roles == {Role.OPERATOR, Role.TRAINER}
    assert passwords.fits("another long one", found.secret)
    assert run("users", "disable", "alice").exit_code == 0
    assert "closed" in run("users", "list").output
    assert run("users", "disable", "alice", "--enable").exit_code == 0
    with store.connect() as conn:
        told = b"\n".join(row.document for row in conn.execute(select(audit_pending.c.document)))
    assert told.count(b'"account_changed"') == 5
    assert b"another long one" not in told


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("users", "add", "a b", "--role", "viewer"), f"{people.PASSWORD}\n" * 2),
        (("users", "add", "radbridge", "--role", "viewer"), f"{people.PASSWORD}\n" * 2),
        (("users", "add", "bob", "--role", "viewer"), "short\nshort\n"),
        (("users", "add", "bob", "--role", "viewer", "--password-file", "nowhere"), None),
        (("users", "roles", "nobody", "--role", "viewer"), None),
        (("users", "disable", "nobody"), None),
        (("apikeys", "make", "pacs"), None),
        (("apikeys", "make", "the pacs", "--role", "viewer"), None),
        (("apikeys", "make", "pacs", "--scope", "everything"), None),
        (("apikeys", "revoke", "0123456789abcdef"), None),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, words: tuple[str, ...], given: str | None) -> None:
    """A bad name or ours, a short password, a file that isn't there, somebody unknown, a key for nothing: status 2."""
    done = run(*words, given=given)
    assert done.exit_code == 2
    assert people.PASSWORD not in done.output


def test_a_key_from_its_making_to_its_end(run: Run, store: Stores) -> None:
    """Printed once, listed without its secret, revoked."""
    key = run("apikeys", "make", "monitoring", "--role", "viewer", "--days", "90").output.strip()
    with store.connect() as conn:
        found = api_keys.check(conn, key)
    assert found is not None
    assert found.roles == {Role.VIEWER}
    listed = run("apikeys", "list").output
    assert found.id in listed
    assert key.rpartition("_")[2] not in listed
    assert run("apikeys", "revoke", found.id).exit_code == 0
    with store.connect() as conn:
        assert api_keys.check(conn, key) is None


def test_somebody_from_a_provider_is_the_providers(run: Run, store: Stores) -> None:
    """Their password and roles aren't changed here; closing works."""
    stranger = accounts.Stranger(
        issuer="https://login.example", subject="u-1", name="carol", roles=frozenset({Role.VIEWER})
    )
    with store.begin() as conn:
        accounts.welcome(conn, [stranger])
    assert run("users", "roles", "carol", "--role", "admin").exit_code == 2
    assert run("users", "disable", "carol").exit_code == 0
