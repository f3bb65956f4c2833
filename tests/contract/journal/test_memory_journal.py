"""The style memory's table: filled from history, kept only while it is wanted, and emptied for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from radbridge.case import Case, CaseKey, CaseState, Radiologist, ReportText
from radbridge.cli.app import app
from radbridge.journal import cases, memory
from radbridge.journal.schema import memory as table
from radbridge.journal.stores import Stores, migrate
from radbridge.memory import Remembered
from tests.support.journals import on_each, upgrade

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNED = Case(
    key=CaseKey(accession="A1", issuer="RIS"),
    report=ReportText(findings="Small effusion.", impression="Effusion."),
    signer=Radiologist(id="1001"),
    state=CaseState.SIGNED,
    signed_at=AT,
)


def key(n: int) -> CaseKey:
    """A case."""
    return CaseKey(accession=f"A{n}", issuer="RIS")


def report(number: int) -> Remembered:
    """What is kept under a number."""
    return Remembered(number=number, signer="1001", findings="Small effusion.", impression=f"Effusion {number}.")


@pytest.fixture
def conn(stores: Stores) -> Iterator[Connection]:
    """A connection to a journal in which three reports of two signers are remembered, signed a day apart."""
    with stores.begin() as opened:
        for n, signer in enumerate(("1001", "1002", "1001"), 1):
            memory.expect(opened, key(n), signer=signer, signed_at=AT + timedelta(days=n))
            memory.keep(opened, [report(n)])
        yield opened


def numbers(conn: Connection) -> list[int]:
    """What is remembered, the newest first."""
    return list(memory.kept(conn, 99, 99))


def test_a_site_has_its_memory_from_its_history(unmade: Stores) -> None:
    """Every report that was signed before this version waits to be remembered, in the order of signing."""
    history = (
        replace(SIGNED, key=key(1), signed_at=AT.astimezone(UTC) + timedelta(hours=2)),
        replace(SIGNED, key=key(2)),
        replace(SIGNED, key=key(3), state=CaseState.OPEN, signed_at=None),
        replace(SIGNED, key=key(4), signer=Radiologist()),
    )
    upgrade(unmade, "0005")
    with unmade.begin() as conn:
        for case in history:
            cases.save(conn, case)
    migrate(unmade.writer)
    with unmade.begin() as conn:
        assert [(e.number, e.key) for e in memory.waiting(conn, 9)] == [(2, key(1)), (1, key(2))]
        assert memory.forget_before(conn, AT + timedelta(hours=1)) == 1
        assert (memory.count(conn), [e.number for e in memory.waiting(conn, 9)]) == (0, [2])


def test_reports_are_scrubbed_anew_with_their_context(unmade: Stores) -> None:
    """What was remembered before training learned from it waits to be scrubbed again, under its number; a bar stays."""
    upgrade(unmade, "0006")
    with unmade.begin() as conn:
        for n in (1, 2):
            memory.expect(conn, key(n), signer="1001", signed_at=AT)
        memory.keep(conn, [report(1)])
        memory.bar(conn, key(3), at=AT)
    migrate(unmade.writer)
    with unmade.begin() as conn:
        assert ([e.number for e in memory.waiting(conn, 9)], memory.count(conn)) == ([2, 1], 0)
        memory.expect(conn, key(3), signer="1001", signed_at=AT)
        assert len(memory.waiting(conn, 9)) == 2


@on_each
def test_only_what_still_waits_is_kept(conn: Connection) -> None:
    """A text that was scrubbed while its report was corrected or forgotten is never kept."""
    memory.expect(conn, key(4), signer="1001", signed_at=AT)
    memory.forget(conn, key(4))
    memory.expect(conn, key(4), signer="1001", signed_at=AT)
    assert memory.keep(conn, [report(4), report(5), report(5)]) == [False, True, False]
    assert memory.load(conn, [4, 5]) == {5: (key(4), report(5))}


def test_a_row_that_cant_be_read(conn: Connection) -> None:
    """A broken row is nobody's example, hides no other, and waits to be scrubbed anew under its number."""
    conn.execute(table.update().where(table.c.number == 2).values(document=b"{"))
    assert memory.kept(conn, 99, 9) == {3: report(3), 2: None, 1: report(1)}
    assert set(memory.load(conn, [1, 2, 3])) == {1, 3}
    assert memory.renew(conn, [2, 9]) == [True, False]
    assert (numbers(conn), [e.number for e in memory.waiting(conn, 9)]) == ([3, 1], [2])


def test_a_number_is_never_used_again(conn: Connection) -> None:
    """What a draft has written down leads to its own report or to none, also when the newest was forgotten."""
    memory.forget(conn, key(3))
    memory.expect(conn, key(3), signer="1001", signed_at=AT)
    assert [e.number for e in memory.waiting(conn, 9)] == [4]
    memory.give_up(conn, [4])
    assert (memory.waiting(conn, 9), memory.forget(conn, key(3))) == ([], False)


def test_kept_in_blocks(conn: Connection) -> None:
    """All is read, the newest first, a block at a time."""
    assert list(memory.kept(conn, 99, 2).items()) == [(3, report(3)), (2, report(2))]
    assert list(memory.kept(conn, 2, 2)) == [1]


@pytest.mark.parametrize(
    ("options", "left"), [(["--signer", "1001"], [2]), (["--before", "2026-03-03"], [3, 2]), (["--all"], [])]
)
def test_forgetting_by_command(
    stores: Stores, conn: Connection, tmp_path: Path, options: list[str], left: list[int]
) -> None:
    """`radbridge memory forget` takes a signer's, older or all reports out of the table."""
    conn.commit()
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "{stores.store.url}"\n')
    result = CliRunner().invoke(app, ["memory", "forget", "--config", str(config), *options])
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{3 - len(left)} report")
    with stores.connect() as other:
        assert numbers(other) == left


@pytest.mark.parametrize("options", [[], ["--all", "--signer", "1001"]])
def test_forgetting_needs_one_word(stores: Stores, conn: Connection, tmp_path: Path, options: list[str]) -> None:
    """Without saying what to forget, or with two ways of saying it, nothing is forgotten."""
    conn.commit()
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "{stores.store.url}"\n')
    result = CliRunner().invoke(app, ["memory", "forget", "--config", str(config), *options])
    assert (result.exit_code, "one of --signer" in result.stderr) == (2, True)
    with stores.connect() as other:
        assert numbers(other) == [3, 2, 1]
