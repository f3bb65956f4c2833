"""What the journal keeps of DICOM objects, and what it brings up again."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from radbridge.case import CaseKey
from radbridge.journal import dicom, messages
from radbridge.journal.buckets import ALL
from radbridge.journal.dicom import Begun, Changed, Filed, Kept, StepOutcome, StepState
from radbridge.journal.schema import MessageState, dicom_instances, metadata
from radbridge.wire import Received
from tests.support.journals import on_each

KEY = CaseKey(accession="A1")
OTHER = CaseKey(accession="A2")


def received(control_id: str, raw: bytes = b"x", accession: str = "A1") -> Received:
    return Received(
        wire="dicom", peer="", sender="M", control_id=control_id, kind="C-STORE", accession=accession, raw=raw, ack=b""
    )


def kept(
    sop_uid: str, context: str = "c", *, study: str = "1.2", key: CaseKey | None = KEY, is_repeat: bool = False
) -> Kept:
    message = received(sop_uid, f"{sop_uid} {context}".encode(), key.accession if key else "")
    return Kept(
        sop_uid=sop_uid,
        class_uid="1.1",
        study_uid=study,
        series_uid="1.3",
        key=key,
        context=context,
        peer="",
        message=lambda: message,
        is_repeat=is_repeat,
    )


def waiting(conn: Connection) -> list[bytes]:
    return [m.raw for m in messages.waiting(conn, buckets=ALL, at_most=1000)]


def settle_all(conn: Connection) -> None:
    for message in messages.waiting(conn, buckets=ALL, at_most=1000):
        messages.settle(conn, message.id, MessageState.DONE, "not placed")


def test_a_series_is_one_message(conn: Connection) -> None:
    """Of objects that say the same of their study each is a row, and one is a message, within a commit and across."""
    assert dicom.keep(conn, [kept(f"1.{n}") for n in range(40)]) == [True, *[False] * 39]
    assert dicom.keep(conn, [kept(f"2.{n}") for n in range(40)]) == [False] * 40
    assert len(conn.execute(dicom_instances.select()).all()) == 80
    assert waiting(conn) == [b"1.0 c"]


def test_another_study_is_news(conn: Connection) -> None:
    """The same words about another study are a message of their own."""
    assert dicom.keep(conn, [kept("1.1"), kept("1.2", study="1.9")]) == [True, True]


def test_the_same_object_again_is_nothing_new(conn: Connection) -> None:
    """An object that comes twice is kept once; with other words it is a message again, and its row says so."""
    assert dicom.keep(conn, [kept("1.1"), kept("1.1")]) == [True, False]
    assert dicom.keep(conn, [kept("1.1")]) == [False]
    assert dicom.keep(conn, [kept("1.1", "d")]) == [True]
    [row] = conn.execute(dicom_instances.select())
    assert row.context == "d"
    assert dicom.keep(conn, [kept("1.1")]) == [True]
    assert waiting(conn) == [b"1.1 c", b"1.1 d", b"1.1 c"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("cd")), max_size=20), st.integers(0, 20))
def test_how_it_is_grouped_makes_no_difference(objects: list[tuple[int, str]], split: int) -> None:
    """The same objects in one commit or in two leave the same rows and the same messages."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    items = [kept(f"1.{n}", context) for n, context in objects]
    found = []
    for groups in ([items], [items[:split], items[split:]], [[item] for item in items]):
        with engine.connect() as connection:
            news = [new for group in groups if group for new in dicom.keep(connection, group)]
            rows = {(r.sop_uid, r.context) for r in connection.execute(dicom_instances.select())}
            found.append((news, rows, waiting(connection)))
            connection.rollback()
    engine.dispose()
    assert found[0] == found[1] == found[2]


def test_a_known_repeat_costs_no_look(conn: Connection) -> None:
    """Where the same is known to be committed, a row is all that is written; a changed object is news all the same."""
    dicom.keep(conn, [kept("1.1"), kept("2.1", "d")])
    assert dicom.keep(conn, [kept("1.2", is_repeat=True), kept("1.3", is_repeat=True)]) == [False, False]
    assert dicom.keep(conn, [kept("1.3", is_repeat=True), kept("1.4", is_repeat=True)]) == [False, False]
    assert dicom.keep(conn, [kept("2.1", is_repeat=True), kept("1.5", is_repeat=True)]) == [True, False]
    contexts = {r.sop_uid: r.context for r in conn.execute(dicom_instances.select())}
    assert contexts == dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.5", "2.1"), "c")
    assert waiting(conn) == [b"1.1 c", b"2.1 d", b"2.1 c"]


@on_each
def test_what_came_before_its_accession_is_applied_then(conn: Connection) -> None:
    """A message that names no accession is queued again, behind the others, once its study's is known."""
    dicom.keep(conn, [kept("1.1", key=None)])
    settle_all(conn)
    last = conn.exec_driver_sql("SELECT max(id) FROM message").scalar_one()
    assert dicom.study_key(conn, "1.2") is None
    dicom.relate(conn, "1.2", KEY)
    assert dicom.study_key(conn, "1.2") == KEY
    [again] = messages.waiting(conn, buckets=ALL, at_most=10)
    assert again.raw == b"1.1 c"
    assert again.id > last
    settle_all(conn)
    dicom.relate(conn, "1.2", KEY)
    assert waiting(conn) == []
    assert conn.exec_driver_sql("SELECT count(*) FROM message").scalar_one() == 1
    assert dicom.keep(conn, [kept("1.1", key=None)]) == [False]


def test_a_later_object_tells_the_accession(conn: Connection) -> None:
    """An object with an accession brings up those of its study that had none, also in the same commit."""
    dicom.keep(conn, [kept("1.1", "a", key=None)])
    settle_all(conn)
    dicom.keep(conn, [kept("1.2", "b", key=None), kept("1.3", "c")])
    assert sorted(waiting(conn)) == [b"1.1 a", b"1.2 b", b"1.3 c"]
    assert dicom.study_key(conn, "1.2") == KEY


def test_a_message_that_waits_for_two_studies(conn: Connection) -> None:
    """A message about two studies without accession is applied for each as soon as that is known."""
    dicom.file(conn, [Filed(received=received("1"), studies=(("1.2", None), ("1.3", None)))])
    for study in ("1.2", "1.3"):
        settle_all(conn)
        dicom.relate(conn, study, KEY)
        assert waiting(conn) == [b"x"]


def test_a_study_of_two_accessions_is_nobodys(conn: Connection) -> None:
    """A study that two accessions claim gives its keyless objects to neither; an issuer on one side is no second."""
    dicom.relate(conn, "1.2", KEY)
    dicom.relate(conn, "1.2", CaseKey(accession="A1", issuer="RIS"))
    assert dicom.study_key(conn, "1.2") == CaseKey(accession="A1", issuer="RIS")
    dicom.relate(conn, "1.2", OTHER)
    assert dicom.study_key(conn, "1.2") is None


def filed(control_id: str, raw: bytes) -> Filed:
    return Filed(received=received(control_id, raw), studies=(("1.2", KEY),))


def test_the_course_of_a_step(conn: Connection) -> None:
    """A step begins once, changes while it is in progress, and stays as it ended."""

    def change(state: StepState | None, more: bytes) -> Changed:
        return Changed(sop_uid="9", state=state, merge=lambda known: filed(f"9:set:{more!r}", known + more))

    assert dicom.change_step(conn, [change(None, b"!")]) == [StepOutcome.UNKNOWN]
    assert dicom.begin_step(conn, [Begun(sop_uid="9", filed=filed("9:create", b"a"))] * 2) == [
        StepOutcome.KEPT,
        StepOutcome.KNOWN,
    ]
    assert dicom.change_step(conn, [change(None, b"b"), change(StepState.COMPLETED, b"c"), change(None, b"d")]) == [
        StepOutcome.KEPT,
        StepOutcome.KEPT,
        StepOutcome.FINAL,
    ]
    assert waiting(conn) == [b"a", b"ab", b"abc"]
    assert dicom.study_key(conn, "1.2") == KEY


def test_rows_say_when(conn: Connection) -> None:
    """An object's row has the time of its commit, in UTC."""
    before = datetime.now(UTC)
    dicom.keep(conn, [kept("1.1")])
    dicom.keep(conn, [kept("1.2", is_repeat=True)])
    for row in conn.execute(dicom_instances.select()):
        assert before <= row.received_at <= datetime.now(UTC)
