"""What a journal's edits and drafts say of LoRA versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from radbridge.case import ReportText
from radbridge.draft import DraftState, Flag, Severity, Stage
from radbridge.edit import compare
from radbridge.journal import drafts, edits, schema
from radbridge.journal.marks import Mark
from radbridge.journal.outcomes import read_outcomes, read_outcomes_before, signed_since
from radbridge.journal.stores import Stores
from tests.support.drafts import AT, CASE, DRAFT

SIGNED = replace(CASE, report=ReportText(findings="Nodule.", impression=DRAFT.text), signed_at=AT)
SIDE = Flag(kind="laterality", message="Invented.", severity=Severity.CRITICAL)
URGENT = Flag(kind="critical", message="Invented.", severity=Severity.CRITICAL)


def sign(conn: Connection, id: str, *, signer: str = "1234", delivered: bool = True, **draft: Any) -> None:
    """A draft, and the report that was signed over it by `signer`."""
    blocked = draft.pop("blocked", False)
    made = replace(DRAFT, **({"id": id, "flags": ()} | draft))
    case = replace(SIGNED, signer=replace(SIGNED.signer, id=signer))
    drafts.add(conn, CASE.key, made, DraftState.BLOCKED if blocked else DraftState.SIGNED)
    edits.save(conn, CASE.key, compare(case, made, delivered=delivered, blocked=blocked))


def test_an_outcome_is_the_asked_version_s(conn: Connection) -> None:
    """Whoever was asked is told, also where another text went out; an older server tells only whose text it is."""
    sign(conn, "D1", asked="rad/1234@v2-000000000000", lora="none", stage=Stage.COARSE)
    sign(conn, "D2")
    first, second = read_outcomes(conn, "1234", since=AT)
    assert (first.version, first.distance, first.faulty) == ("rad/1234@v2-000000000000", 0.0, True)
    assert (second.version, second.distance, second.faulty) == (DRAFT.lora, 0.0, False)
    assert second.number > first.number


@pytest.mark.parametrize(
    ("draft", "distance", "faulty"),
    [
        ({"blocked": True}, 1.0, True),
        ({"flags": (SIDE,)}, 0.0, True),
        ({"flags": (URGENT,)}, 0.0, False),
        ({"asked": "base", "stage": Stage.COARSE}, 0.0, False),
        ({"text": "Lungs clear."}, 1.0, False),
    ],
    ids=["blocked", "wrong side", "urgent", "no LoRA asked", "other words"],
)
def test_what_counts_as_faulty(conn: Connection, draft: dict[str, Any], distance: float, *, faulty: bool) -> None:
    """A draft that was kept back had to be written anew; a flag that misleads is a fault, an urgent finding is none."""
    sign(conn, "D1", **draft)
    (outcome,) = read_outcomes(conn, "1234", since=AT)
    assert (outcome.distance, outcome.faulty) == (distance, faulty)


def test_only_what_its_signer_saw_is_told(conn: Connection) -> None:
    """A draft that never arrived, that somebody else signed over, or that was dropped, says nothing of a version."""
    sign(conn, "D1", delivered=False)
    sign(conn, "D2", signer="5678")
    assert not list(read_outcomes(conn, "1234", since=AT))
    sign(conn, "D3")
    assert len(list(read_outcomes(conn, "1234", since=AT))) == 1
    edits.drop(conn, CASE.key)
    assert not list(read_outcomes(conn, "1234", since=AT))


def test_before_and_after_a_moment(conn: Connection) -> None:
    """Drafts are told apart by when they were made; of those before, the last ones come, the newest first."""
    for hour in range(4):
        sign(conn, f"D{hour}", made_at=AT + timedelta(hours=hour))
    moment = AT + timedelta(hours=3)
    assert [o.at for o in read_outcomes(conn, "1234", since=moment)] == [moment]
    before = read_outcomes_before(conn, "1234", before=moment, at_most=2)
    assert [o.at for o in before] == [AT + timedelta(hours=2), AT + timedelta(hours=1)]


def test_before_a_moment_and_below_a_number(conn: Connection) -> None:
    """Of drafts from before a moment those that were signed later than an outcome, or asked of a version, stay out."""
    sign(conn, "D1", asked="base")
    sign(conn, "D2", asked="rad/1234@v1-000000000000")
    sign(conn, "D3", made_at=AT + timedelta(hours=2))
    sign(conn, "D4", asked="base")
    moment = AT + timedelta(hours=1)
    (first,) = read_outcomes(conn, "1234", since=moment)
    before = partial(read_outcomes_before, conn, "1234", before=moment, at_most=9)
    assert [o.number for o in before()] == [4, 2, 1]
    assert [o.number for o in before(below=first.number)] == [2, 1]
    assert [o.number for o in before(besides="base")] == [2]


def test_no_more_is_read_than_is_taken(conn: Connection) -> None:
    """Whoever has enough stops: what lies behind is not even looked at, however many years it goes back."""
    for name in ("D1", "D2"):
        sign(conn, name)
    conn.execute(schema.edits.update().where(schema.edits.c.draft_id == "D2").values(document=b"{"))
    assert next(read_outcomes(conn, "1234", since=AT)).number == 1


def test_who_signed_since_the_last_look(conn: Connection) -> None:
    """A look tells whose drafts were signed over since the last one; the first, whose ever were."""
    mark = Mark()
    assert signed_since(conn, mark, now_s=0.0) == frozenset()
    sign(conn, "D1")
    assert signed_since(conn, mark, now_s=1.0) == {"1234"}
    assert signed_since(conn, mark, now_s=2.0) == frozenset()
    assert signed_since(conn, Mark(), now_s=3.0) == {"1234"}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_who_signed_while_another_transaction_was_open(stores: Stores) -> None:
    """An edit that got its number earlier and is committed later is told, and the others aren't told again."""
    mark = Mark()
    with stores.writer.connect() as slow, stores.writer.connect() as fast:
        for conn, id, signer in ((slow, "D1", "1111"), (fast, "D2", "2222")):
            sign(conn, id)
            conn.execute(schema.drafts.update().where(schema.drafts.c.id == id).values(signer=signer))
        fast.commit()
        with stores.connect() as conn:
            assert signed_since(conn, mark, now_s=0.0) == {"2222"}
        slow.commit()
    with stores.connect() as conn:
        assert signed_since(conn, mark, now_s=1.0) == {"1111"}
        assert signed_since(conn, mark, now_s=2.0) == frozenset()
