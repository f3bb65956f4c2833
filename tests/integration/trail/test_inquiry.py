"""What happened to a case, or to a patient, is answered from the trail: also what a purge took, and what is old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from typer.testing import CliRunner

from radbridge.audit import Note, What, write
from radbridge.case import Case, CaseKey, Patient
from radbridge.cli.app import app
from radbridge.config.encryption import Encryption
from radbridge.config.retention import Retention
from radbridge.errors import AuditBroken
from radbridge.journal import audit, cases, purge
from radbridge.journal.purge import Cut, Kind
from radbridge.journal.schema import audit_events, data_keys, memory
from radbridge.journal.schema import cases as case_table
from radbridge.journal.stores import Stores, migrate, open_store
from tests.support.journals import make_key, on_each, upgrade
from tests.support.trail import NOON, make_note

NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
OLD = NOW - timedelta(days=100)
_KINDS = {kind.name: kind for kind in purge.KINDS}


def chain(stores: Stores, *notes: Note) -> None:
    with stores.begin() as conn:
        audit.note(conn, notes)
        while audit.chain_pending(conn):
            pass


def of_patient(stores: Stores, number: str) -> list[int]:
    with stores.connect() as conn:
        return [event.seq for event in audit.of_patient(conn, number)]


def make_old(stores: Stores) -> None:
    """As a gateway of before 0010 has left them."""
    with stores.begin() as conn:
        audit.allow_purge(conn)
        conn.execute(update(audit_events).values(patient=None))


@on_each
def test_a_patient_is_asked_for(stores: Stores) -> None:
    """All events of a number are found, whether its documents are sealed or not, and those of nobody else."""
    chain(stores, *(make_note(n, patient=f"90000{n % 2}") for n in range(6)), make_note(6, patient=""))
    assert of_patient(stores, "900001") == [2, 4, 6]
    make_old(stores)
    chain(stores, make_note(7, patient="900001"))
    assert of_patient(stores, "900001") == [2, 4, 6, 8]
    assert of_patient(stores, "nobody") == []
    with stores.connect() as conn:
        assert audit.verify(conn).events == 8


def test_a_number_that_no_column_takes_is_found(stores: Stores) -> None:
    """A patient whose number holds what isn't text to PostgreSQL is found as their case is."""
    chain(stores, make_note(1, patient="9000\x0001"))
    assert of_patient(stores, "9000\x0001") == of_patient(stores, "900001") == [1]


def test_another_patient_in_the_column_is_found(stores: Stores) -> None:
    """Who writes somebody else's number beside an event, so that it isn't found, is found by verify."""
    chain(stores, make_note(1))
    with stores.begin() as conn:
        audit.allow_purge(conn)
        conn.execute(update(audit_events).values(patient="900009"))
    with stores.connect() as conn, pytest.raises(AuditBroken, match="columns"):
        audit.verify(conn)


@pytest.mark.parametrize("revision", ["0008", "0009"])
def test_a_chain_of_before_is_asked(unmade: Stores, tmp_path: Path, revision: str) -> None:
    """Events and a key of a released version are there after the upgrade, verified, and found by their patient."""
    upgrade(unmade, revision)
    notes, last = [make_note(n, patient=f"90000{n}") for n in range(3)], audit.Head()
    with unmade.begin() as conn:
        for seq, note in enumerate(notes, 1):
            document = write(note)
            digest = audit.link(last.hash, seq, note.at, document)
            row = {"seq": seq, "at": note.at, "what": note.what, "actor": note.actor, "document": document}
            conn.execute(insert(audit_events), row | {"entity": f"A{seq - 1}", "prev": last.hash, "hash": digest})
            last = audit.Head(seq=seq, hash=digest)
        key = {"id": 1, "wrapped": b"w", "kek": "k", "seals": 3, "created_at": NOON}
        conn.execute(insert(data_keys), key)
    migrate(unmade.writer)
    chain(unmade, make_note(3, patient="900001"))
    assert of_patient(unmade, "900001") == [2, 4]
    with unmade.connect() as conn:
        assert audit.verify(conn, kept=last).events == 4
        assert conn.execute(select(data_keys.c.seals, data_keys.c.lost_at)).one() == (3, None)


def test_the_command_asks_by_patient(stores: Stores, url: str, tmp_path: Path) -> None:
    """`audit show --patient` shows a patient's events, and that somebody looked is one of them."""
    chain(stores, make_note(1, patient="900001"), make_note(2, patient="900002"))
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "{url}"\n')
    words = ["audit", "show", "--config", str(config), "--patient", "900001"]
    shown = CliRunner().invoke(app, words)
    assert ("A1" in shown.output, "A2" in shown.output) == (True, False)
    assert CliRunner().invoke(app, [*words, "--accession", "A1"]).exit_code == 2
    chain(stores)
    with stores.connect() as conn:
        assert [event.note.what for event in audit.of_patient(conn, "900001")] == [What.CASE_CHANGED, What.VIEWED]


def purged(stores: Stores, name: str) -> None:
    cut = Cut(retention=Retention(messages_d=30, cases_d=30, drafts_d=30, examples_d=30, fhir_d=30), now=NOW)
    kind: Kind = _KINDS[name]
    with stores.connect() as conn:
        rows = purge.look(conn, kind, cut)
    with stores.begin() as conn:
        assert purge.take(conn, kind, cut, rows) == len(rows)


def keep(stores: Stores, count: int) -> None:
    """Old cases that are over, of a patient each."""
    with stores.begin() as conn:
        for number in range(count):
            patient = Patient(id=f"P{number}", name="DOE^JANE")
            cases.save(conn, Case(key=CaseKey(accession=f"A{number}", issuer="RIS"), patient=patient))
        conn.execute(update(case_table).values(state="signed", updated_at=OLD))


@on_each
def test_a_purge_answers_for_each_case(stores: Stores) -> None:
    """What happened to case X: it went, then; a hundred cases are one event, and no patient is in it."""
    keep(stores, 150)
    purged(stores, "cases")
    chain(stores)
    with stores.connect() as conn:
        assert len(audit.chained(conn)) == 2
        for number in (0, 99, 149):
            (event,) = audit.of_case(conn, f"A{number}")
            assert (event.note.what, event.note.detail["kind"]) == (What.PURGED, "cases")
            assert CaseKey(accession=f"A{number}", issuer="RIS") in event.note.cases
        assert audit.of_case(conn, "A150") == []
        assert audit.of_case(conn, "*") == []
        assert audit.verify(conn).events == 2
        told = [event.note for event in audit.chained(conn)]
    assert sum(int(note.detail["rows"]) for note in told) == 150
    assert "P1" not in str([write(note) for note in told])


def test_the_case_that_is_asked_for_is_shown(stores: Stores, url: str, tmp_path: Path) -> None:
    """Of an event of many cases the one that somebody asks for is named, with how many more there were."""
    keep(stores, 3)
    purged(stores, "cases")
    chain(stores)
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "{url}"\n')
    shown = CliRunner().invoke(app, ["audit", "show", "--config", str(config), "--accession", "A1"])
    assert "A1 and 2 more" in shown.output


def test_what_else_a_purge_takes_is_named(stores: Stores) -> None:
    """Reports that were remembered go under the case that they are of, too."""
    with stores.begin() as conn:
        row = {"issuer": "", "signer": "1", "state": "kept", "document": b"x", "signed_at": OLD}
        conn.execute(insert(memory), [row | {"accession": f"M{n}"} for n in range(2)])
    purged(stores, "memory")
    chain(stores)
    with stores.connect() as conn:
        (event,) = audit.of_case(conn, "M1")
    assert (event.note.detail["kind"], event.note.detail["rows"]) == ("memory", "2")


def test_a_patient_of_a_sealed_journal_of_before(url: str, tmp_path: Path) -> None:
    """Sealed events without the column are opened and read: encryption hides nobody from an inquiry."""
    kek = tmp_path / "kek"
    kek.write_text(make_key())
    kek.chmod(0o600)
    opened = open_store(url, Encryption(key_file=kek))
    chain(opened, make_note(1, patient="900001"), make_note(2, patient="900002"))
    make_old(opened)
    assert of_patient(opened, "900002") == [2]
    opened.dispose()
