"""A key of the journal that is lost for good is named by an operator: the journal opens without it, and says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, column, delete, insert, select, table, update
from typer.testing import CliRunner, Result

from radbridge.audit import Note, What
from radbridge.cli.app import app
from radbridge.cli.common import account
from radbridge.config.encryption import Encryption
from radbridge.errors import AuditBroken, SealBroken, SealError
from radbridge.journal import audit, backup, keys, resealing, secrets
from radbridge.journal.keys import DataKey, Ring
from radbridge.journal.resealing import Mode
from radbridge.journal.schema import audit_anchors, audit_events, audit_pending, data_keys, gateways, memory
from radbridge.journal.sealing import SEALED, sealer_of
from radbridge.journal.stores import Stores, open_store
from radbridge_adapters import cdshooks, fhir
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.journals import make_key
from tests.support.live import live, make_site
from tests.support.planted import plant
from tests.support.trail import make_note

AT = datetime(2026, 11, 1, tzinfo=UTC)


def key_file(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(make_key())
    path.chmod(0o600)
    return path


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    """A journal that was sealed with a key of the site's that is gone: three events, and a note that waits."""
    opened = open_store(url, Encryption(key_file=key_file(tmp_path, "gone")))
    with opened.begin() as conn:
        plant(conn, AT)
        conn.execute(delete(data_keys).where(data_keys.c.wrapped == b"x"))
        audit.note(conn, [Note(at=AT, what=What.VIEWED)])
    opened.dispose()
    path = tmp_path / "site.toml"
    path.write_text(f'[store]\nurl = "{url}"\n[encryption]\nkey_file = "{key_file(tmp_path, "new")}"\n')
    return path


@pytest.fixture
def raw(url: str, config: Path) -> Iterator[Stores]:
    """The engines, for whoever has no key."""
    opened = open_store(url)
    yield opened
    opened.dispose()


def radbridge(config: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)], input=typed)


def give_up(config: Path, key: int, *words: str, typed: str = "") -> Result:
    return radbridge(config, "audit", "give-up", "--key", str(key), "--reason", "lost", *words, typed=typed)


def chained(url: str, config: Path) -> list[Note]:
    opened = open_store(url, Encryption(key_file=config.with_name("new")))
    with opened.begin() as conn:
        audit.chain_pending(conn)
        notes = [event.note for event in audit.chained(conn)]
    opened.dispose()
    return notes


def test_a_lost_key_is_given_up(config: Path, url: str) -> None:
    """Nothing opens before; afterwards all works, the chain goes on, and says which key and which notes went."""
    refused = radbridge(config, "audit", "verify")
    assert (refused.exit_code, "isn't the one" in refused.output) == (1, True)
    done = give_up(config, 1, "--yes")
    assert (done.exit_code, "key 1 is given up" in done.output, "1 note given up" in done.output) == (0, True, True)
    verified = radbridge(config, "audit", "verify")
    assert (verified.exit_code, "3 of them can't be read" in verified.output) == (0, True)
    *lost, rotated, dropped = chained(url, config)
    assert [(note.what, note.entity and note.entity.accession) for note in lost] == [
        (What.CASE_CHANGED, f"A{number}") for number in range(3)
    ]
    assert all("key 1" in note.detail["lost"] for note in lost)
    assert (rotated.what, rotated.actor) == (What.KEY_ROTATED, account())
    assert (rotated.detail["key_id"], rotated.detail["reason"]) == ("1", "lost")
    assert (dropped.what, len(dropped.detail["digest"])) == (What.DROPPED, 64)
    assert "given up as lost" in radbridge(config, "store", "status").output
    assert "case_changed" in radbridge(config, "audit", "show", "--accession", "A1").output


def test_it_is_asked_before(config: Path, raw: Stores) -> None:
    """Whoever doesn't say yes changes nothing; they are told how much it is about."""
    for typed in ("n\n", ""):
        asked = give_up(config, 1, typed=typed)
        assert (asked.exit_code, "values are sealed with key 1" in asked.output) == (1, True)
    with raw.connect() as conn:
        assert conn.execute(select(data_keys.c.lost_at)).scalars().all() == [None]
    assert give_up(config, 1, typed="y\n").exit_code == 0
    assert "key 1 is given up" not in give_up(config, 1).output  # it is said once


def test_a_key_that_is_there_is_not_given_up(config: Path, raw: Stores) -> None:
    """One that the site's key opens isn't lost; while that key is away, or for one that never was, nothing is."""
    new = config.with_name("new")
    kept = new.read_text()
    new.write_text(config.with_name("gone").read_text())
    refused = give_up(config, 1, "--yes")
    assert (refused.exit_code, "isn't lost" in refused.output) == (1, True)
    new.unlink()
    assert give_up(config, 1, "--yes").exit_code == 2
    new.write_text(kept)
    new.chmod(0o600)
    assert "there is no key 7" in give_up(config, 7, "--yes").output
    with raw.connect() as conn:
        assert conn.execute(select(data_keys.c.lost_at)).scalars().all() == [None]


def test_a_key_whose_row_is_gone_is_given_up(config: Path, raw: Stores) -> None:
    """A row that was taken out leaves nobody to ask: it is named all the same, and verify reads the chain then."""
    config.with_name("new").write_text(config.with_name("gone").read_text())
    assert radbridge(config, "store", "rotate").exit_code == 0
    with raw.begin() as conn:
        conn.execute(delete(data_keys).where(data_keys.c.id == 1))
    broken = radbridge(config, "audit", "verify")
    assert (broken.exit_code, "key 1 is missing" in broken.output) == (1, True)
    assert give_up(config, 1, "--yes").exit_code == 0
    assert radbridge(config, "audit", "verify").exit_code == 0


def test_no_key_is_given_up_under_a_gateway(config: Path, raw: Stores) -> None:
    """A gateway that runs may still have the key in its memory."""
    with raw.begin() as conn:
        conn.execute(update(gateways).values(seen_at=datetime.now(UTC) + timedelta(hours=1)))
    with raw.claim():
        assert give_up(config, 1, "--yes").exit_code == 2
    with raw.connect() as conn:
        assert conn.execute(select(data_keys.c.lost_at)).scalars().all() == [None]


def test_what_was_sealed_with_it_is_told_apart_from_a_change(config: Path, raw: Stores, url: str) -> None:
    """A given-up event still stands between its neighbours: one that is taken out, or moved, is found."""
    give_up(config, 1, "--yes")
    chained(url, config)
    with raw.begin() as conn:
        audit.allow_purge(conn)
        conn.execute(delete(audit_events).where(audit_events.c.seq == 2))
    broken = radbridge(config, "audit", "verify")
    assert (broken.exit_code, "event 2" in broken.output) == (1, True)


@pytest.mark.parametrize("name", ["document", "actor", "what", "patient", "entity"])
def test_a_given_up_event_that_was_changed_is_found(config: Path, raw: Stores, url: str, name: str) -> None:
    """What nobody can open is still what it was when its key was given up, bytes and columns: a digest is noted."""
    give_up(config, 1, "--yes")
    chained(url, config)
    assert radbridge(config, "audit", "verify").exit_code == 0
    changed = SEALED + (1).to_bytes(4, "big") + b"junk" if name == "document" else "viewed"
    forge(raw, 2, {name: changed})
    broken = radbridge(config, "audit", "verify")
    assert (broken.exit_code, "isn't as it was then" in broken.output) == (1, True)


def test_a_key_that_nobody_gave_up_in_the_trail_is_not_lost(config: Path, raw: Stores, url: str) -> None:
    """A row that says of a key that it is lost hides no event behind it: only a note of the chain does."""
    config.with_name("new").write_text(config.with_name("gone").read_text())
    chained(url, config)
    forge(raw, 2, {"document": SEALED + (999).to_bytes(4, "big") + b"junk", "actor": "somebody"})
    with raw.begin() as conn:
        keys.give_up(conn, 999, at=AT)
    broken = radbridge(config, "audit", "verify")
    assert (broken.exit_code, "nobody has given up the key" in broken.output) == (1, True)


def forge(raw: Stores, seq: int, values: dict[str, object]) -> None:
    """As whoever owns the database does it."""
    with raw.begin() as conn:
        audit.allow_purge(conn)
        bare = table("audit_event", column("seq"), *map(column, values))  # nothing is escaped or sealed on the way
        conn.execute(update(bare).where(bare.c.seq == seq).values(values))


def cut(conn: Connection, last: int, *, is_noted: bool) -> None:
    """Take the front of the chain, as a purge does, or as whoever owns the database."""
    audit.allow_purge(conn)
    digest = conn.execute(select(audit_events.c.hash).where(audit_events.c.seq == last)).scalar_one()
    if is_noted:
        audit.anchor(conn, audit.Head(seq=last, hash=digest), at=AT, reason="retention")
    else:
        conn.execute(insert(audit_anchors), {"seq": last, "hash": digest, "at": AT, "reason": "retention"})
    conn.execute(delete(audit_events).where(audit_events.c.seq <= last))


def test_a_purge_may_take_given_up_events(config: Path, raw: Stores, url: str) -> None:
    """After a purge in the midst of a stretch the chain is whole; a change in a stretch behind it is found."""
    opened = open_store(url, Encryption(key_file=config.with_name("gone")))
    with opened.begin() as conn:
        audit.note(conn, [make_note(n, at=AT) for n in range(250)])
        audit.chain_pending(conn)
    opened.dispose()
    give_up(config, 1, "--yes")
    chained(url, config)
    opened = open_store(url, Encryption(key_file=config.with_name("new")))
    with opened.begin() as conn:
        cut(conn, 120, is_noted=True)
    with opened.connect() as conn:
        assert audit.verify(conn).lost == 254 - 120
        assert audit.verify(conn, start=230).lost == 25
    forge(raw, 210, {"actor": "somebody"})
    with opened.connect() as conn, pytest.raises(AuditBroken, match="event 201"):
        audit.verify(conn)
    opened.dispose()


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_made_up_anchor_is_found_behind_a_lost_key(config: Path, raw: Stores, url: str, *, is_noted: bool) -> None:
    """A purge whose own note nobody can open is known by the note of the key; another anchor is none of a purge's."""
    if is_noted:
        opened = open_store(url, Encryption(key_file=config.with_name("gone")))
        with opened.begin() as conn:
            cut(conn, 1, is_noted=True)
            audit.chain_pending(conn)
        opened.dispose()
    give_up(config, 1, "--yes")
    if not is_noted:
        chained(url, config)
        with raw.begin() as conn:
            cut(conn, 1, is_noted=False)
    verified = radbridge(config, "audit", "verify")
    assert (verified.exit_code, "no purge has noted" in verified.output) == ((0, False) if is_noted else (1, True))


@pytest.mark.parametrize(
    "answer", ["exit 3", "exec sleep 60", "exit 0", 'test -e "$0.2" && exit 3; echo > "$0.2"; echo AAAA']
)
def test_a_key_service_that_fails_loses_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Only an answer that isn't the key, given twice, says that a key is lost: one that stays away says nothing."""
    program = tmp_path / "kms"
    service = Encryption(key_command=(str(program),))
    key = DataKey(id=1, wrapped=b"gone", kek="k", created_at=AT)
    program.write_text(f'#!/bin/sh\nv=$(cat)\nif [ "$v" = Z29uZQ== ]; then {answer}; exit; fi\necho "$v"\n')
    program.chmod(0o700)
    command_s = "radbridge_adapters.security.cipher.COMMAND_S"
    monkeypatch.setattr(command_s, 2.0 if "sleep" in answer else 60.0)
    with pytest.raises(SealError):
        keys.require_lost(service, key)
    monkeypatch.setattr(command_s, 60.0)
    program.write_text("#!/bin/sh\ncat\n")
    keys.require_lost(service, key)


def test_a_key_that_turns_up_is_taken_back(config: Path, url: str) -> None:
    """Whoever finds the site's old key names it, and takes back what was given up: all is read again."""
    refused = give_up(config, 1, "--undo")
    assert (refused.exit_code, "no key 1 was given up" in refused.output) == (2, True)
    give_up(config, 1, "--yes")
    refused = give_up(config, 1, "--undo")
    assert (refused.exit_code, "isn't the one" in refused.output) == (1, True)
    gone = config.with_name("gone")
    assert radbridge(config, "store", "rewrap", "--to-key-file", str(gone)).exit_code == 0
    config.with_name("new").write_text(gone.read_text())
    assert give_up(config, 1, "--undo").exit_code == 0
    verified = radbridge(config, "audit", "verify")
    assert (verified.exit_code, "can't be read" in verified.output) == (0, False)
    assert {note.patient for note in chained(url, config)[:3]} == {"ZYWICKA-PLANTED"}
    opened = open_store(url, Encryption(key_file=gone))
    with opened.connect() as conn:
        assert secrets.read(conn, "x") == b"x"
    opened.dispose()


def test_older_events_that_nobody_can_read_are_counted(config: Path, raw: Stores) -> None:
    """Where a patient's number stood in the document alone, an inquiry says how many events it couldn't ask."""
    with raw.begin() as conn:
        audit.allow_purge(conn)
        conn.execute(update(audit_events).values(patient=None))
    give_up(config, 1, "--yes")
    assert "3 older events can't be read" in radbridge(config, "audit", "show", "--patient", "900001").output


def test_a_journal_with_a_lost_key_is_kept_up(config: Path, raw: Stores, url: str, tmp_path: Path) -> None:
    """Rotating, wrapping anew and a backup pass over what nobody can open; new values open."""
    give_up(config, 1, "--yes")
    assert radbridge(config, "store", "rotate", "--rewrite").exit_code == 0
    second = key_file(tmp_path, "second")
    assert radbridge(config, "store", "rewrap", "--to-key-file", str(second)).exit_code == 0
    opened = open_store(url, Encryption(key_file=second))
    assert isinstance(sealer_of(opened.writer.dialect), Ring)
    with opened.begin() as conn:
        audit.note(conn, [Note(at=AT, what=What.VIEWED)])
        manifest = backup.write(conn, tmp_path / "b")
        found = keys.load(conn)
    assert [(key.id, key.lost_at is not None) for key in found] == [(1, True), (2, False), (3, False)]
    assert manifest.keys == [found[-1].kek]
    with pytest.raises(SealBroken, match="given up"), opened.connect() as conn:
        conn.execute(select(memory.c.document)).all()
    with raw.connect() as conn:
        assert set(resealing.count_keys(conn)) == {0, 1, 3}
        assert conn.execute(select(audit_pending)).first() is not None
    with opened.begin() as conn:
        (place,) = (place for place in resealing.places() if place.name == "memory.document")
        assert resealing.reseal_some(conn, place, Mode.NEWEST).changed == 0
    opened.dispose()


async def test_a_gateway_goes_on_without_a_lost_key(url: str, tmp_path: Path) -> None:
    """After its key was given up a gateway starts on the journal and drafts what comes: what is lost is in no way."""
    first, second = (Encryption(key_file=key_file(tmp_path, name)) for name in ("first", "second"))
    codes = []
    for encryption in (first, second):
        site = make_site(
            tmp_path, store={"url": url}, encryption=encryption.model_dump(), cdshooks={"deadline_s": 60.0}
        )
        if encryption is second:
            path = tmp_path / "site.toml"
            path.write_text(f'[store]\nurl = "{url}"\n[encryption]\nkey_file = "{second.key_file}"\n')
            assert give_up(path, 1, "--yes").exit_code == 0
        async with (
            live(site, cdshooks.wire, fhir.wire) as gateway,
            httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
        ):
            accession = "A500001" if encryption is first else "A500009"
            call = json.loads(json.dumps(draft_call()).replace("A500001", accession))
            codes.append(len((await http.post(REPORT_DRAFT, json=call)).json()["cards"]))
            assert (await http.get("/fhir/Patient?_count=1")).status_code == 200
    assert codes == [1, 1]
