"""A hub's session: versions, content and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from radbridge_adapters.fhircast.content import Change
from radbridge_adapters.fhircast.contexts import read_session, write_session
from radbridge_adapters.fhircast.dialect import Dialect, find_dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.hub import make_update
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.session import MOST_OPEN, REMEMBERED, Session, Step, take
from tests.support.fhircast import delete, event, observation, put, report_context, update_context

STRICT = Dialect()


def send(session: Session, name: str, context: Sequence[Mapping[str, Any]], version: str = "", **more: Any) -> Step:
    """One event into the session; the hub's next version is `more["next"]`."""
    following, dialect = more.pop("next", "v2"), more.pop("dialect", STRICT)
    return take(session, read_event(event(name, context, version=version, **more)), version=following, dialect=dialect)


def opened() -> Session:
    """A session with the report `r1` open, at version v1."""
    return send(Session(), "DiagnosticReport-open", report_context("A1"), next="v1").session


def refusal(*args: Any, **more: Any) -> CastFault:
    """The fault that an event is."""
    with pytest.raises(CastFault) as caught:
        send(*args, **more)
    return caught.value


def test_an_update_makes_a_version_and_tells_the_one_before() -> None:
    """An accepted update is distributed with the new version and the prior one, its Bundle as it was sent."""
    context = update_context(put(observation("Clear.")))
    step = send(opened(), "DiagnosticReport-update", context, "v1")
    assert (step.event.version, step.event.prior) == ("v2", "v1")
    assert step.event.context == context
    assert step.session.describe()["context.versionId"] == "v2"
    assert step.session.describe()["context"][-1]["resource"]["entry"] == [{"resource": observation("Clear.")}]


@pytest.mark.parametrize(
    ("version", "context", "status", "reason"),
    [
        ("v0", update_context(put(observation("x"))), 409, "version"),
        ("", update_context(put(observation("x"))), 400, "no_version"),
        ("v1", update_context(put(observation("x")), report="r2"), 409, "not_open"),
        ("v1", update_context(put(observation("x"), "POST")), 400, "method"),
        ("v1", update_context(put(observation("x")), delete("Observation/f1")), 400, "twice"),
        ("v1", update_context({"request": {"method": "PUT"}}), 400, "no_resource"),
        ("v1", update_context(put({"resourceType": "Observation"})), 400, "no_resource_id"),
        ("v1", update_context({"request": {"method": "DELETE"}}), 400, "no_resource_id"),
        ("v1", update_context()[:1], 400, "no_updates"),
        ("v1", update_context(*(put(observation("x", f"o{n}")) for n in range(501))), 413, "too_much"),
    ],
)
def test_a_refused_update_says_why(version: str, context: list[dict[str, Any]], status: int, reason: str) -> None:
    """An update is refused whole, with the status and the word for what is wrong."""
    fault = refusal(opened(), "DiagnosticReport-update", context, version)
    assert (fault.status, fault.reason) == (status, reason)


@pytest.mark.parametrize(
    ("dialect", "method", "works"),
    [("stu3", "PUT", False), ("versionless", "PUT", True), ("versionless", "POST", False), ("post", "POST", True)],
)
def test_a_vendors_way_is_a_dialect(dialect: str, method: str, *, works: bool) -> None:
    """An update without a version, or with POST, is taken in the dialect that knows it and in no other."""
    context = update_context(put(observation("x"), method))
    if works:
        step = send(opened(), "DiagnosticReport-update", context, dialect=find_dialect(dialect))
        assert step.about is not None
        assert list(step.about.content) == ["Observation/f1"]
    else:
        assert refusal(opened(), "DiagnosticReport-update", context, dialect=find_dialect(dialect)).status == 400


def test_a_wrong_version_is_refused_in_every_dialect() -> None:
    """A dialect that needs no version still refuses a wrong one."""
    context = update_context(put(observation("x")))
    assert refusal(opened(), "DiagnosticReport-update", context, "v0", dialect=find_dialect("post")).status == 409


def test_the_same_id_again_has_no_effect() -> None:
    """An event whose id was seen gets its answer again and changes nothing."""
    said = event("DiagnosticReport-update", update_context(put(observation("x"))), version="v1", id="e1")
    first = take(opened(), read_event(said), version="v2", dialect=STRICT)
    again = take(first.session, read_event(said), version="v3", dialect=STRICT)
    assert not again.is_new
    assert again.session == first.session


def test_closing_ends_the_content_and_the_report_before_is_current_again() -> None:
    """A close drops the content; a report that was interrupted is the current one again, with its content."""
    session = send(opened(), "DiagnosticReport-update", update_context(put(observation("x"))), "v1").session
    session = send(session, "DiagnosticReport-open", report_context("A2", "r2"), next="v3").session
    assert session.describe()["context.versionId"] == "v3"
    session = send(session, "DiagnosticReport-close", report_context("A2", "r2")).session
    assert session.describe()["context.versionId"] == "v2"
    assert session.current is not None
    assert list(session.current.content) == ["Observation/f1"]
    session = send(session, "diagnosticreport-close", report_context("A1")).session
    assert session.describe() == {"context.type": "", "context": []}


def test_select_makes_no_version_and_needs_an_open_report() -> None:
    """A select is distributed as it came, and only where its report is open."""
    selected: list[dict[str, Any]] = [
        {"key": "report", "reference": {"reference": "DiagnosticReport/r1"}},
        {"key": "select", "reference": []},
    ]
    before = opened()
    assert send(before, "DiagnosticReport-select", selected).session.contexts == before.contexts
    assert refusal(Session(), "DiagnosticReport-select", selected).status == 409


def test_an_update_changes_the_attributes_of_the_anchor() -> None:
    """What an update tells of the report is told to whoever asks for the context afterwards (3.6.3)."""
    context = update_context()
    context[0] = {"key": "report", "resource": {"resourceType": "DiagnosticReport", "id": "r1", "status": "final"}}
    step = send(opened(), "DiagnosticReport-update", context, "v1")
    assert step.about is not None
    report = step.about.resource("report")
    assert report is not None
    assert (report["status"], report["subject"]) == ("final", {"reference": "Patient/p1"})


def test_what_a_session_keeps_is_bounded() -> None:
    """However many reports are opened and events sent, a session keeps a fixed number of each."""
    session = Session()
    for number in range(REMEMBERED + 10):
        session = send(session, "DiagnosticReport-open", report_context("A1", f"r{number}"), id=f"e{number}").session
    assert (len(session.contexts), len(session.seen)) == (MOST_OPEN, REMEMBERED)


class Hub(RuleBasedStateMachine):
    """Two applications update one report, each with the version it last saw, which may be an old one."""

    @initialize()
    def begin(self) -> None:
        self.versions = ["v0"]
        self.session = send(Session(), "DiagnosticReport-open", report_context("A1"), next="v0").session
        self.content: dict[str, str] = {}

    @rule(
        age=st.integers(0, 2),
        puts=st.dictionaries(st.sampled_from("abcd"), st.text(max_size=4), max_size=3),
        deletes=st.sets(st.sampled_from("abcd"), max_size=2),
    )
    def update(self, age: int, puts: dict[str, str], deletes: set[str]) -> None:
        seen = self.versions[max(0, len(self.versions) - 1 - age)]
        entries = [put(observation(text, id)) for id, text in puts.items()]
        entries += [delete(f"Observation/{id}") for id in sorted(deletes)]
        following = f"v{len(self.versions)}"
        before = self.session
        try:
            step = send(before, "DiagnosticReport-update", update_context(*entries), seen, next=following)
        except CastFault:
            assert seen != self.versions[-1] or deletes & puts.keys()
            return
        assert seen == self.versions[-1]
        assert not deletes & puts.keys()
        self.session = step.session
        self.versions.append(following)
        self.content |= puts
        for id in deletes:
            self.content.pop(id, None)

    @rule()
    def again(self) -> None:
        """Opened anew, nothing is shared yet."""
        following = f"v{len(self.versions)}"
        self.session = send(self.session, "DiagnosticReport-open", report_context("A1"), next=following).session
        self.versions.append(following)
        self.content = {}

    @invariant()
    def holds_what_was_accepted(self) -> None:
        """The content is the fold of the accepted updates, under the version given last."""
        current = self.session.current
        assert current is not None
        assert current.version == self.versions[-1]
        assert {k.removeprefix("Observation/"): r["valueString"] for k, r in current.content.items()} == self.content


def draft(dialect: str, *known: str, take_away: bool = False) -> dict[str, Any]:
    """The report item of our update in a dialect, where the report has these results."""
    results = [{"reference": reference} for reference in known]
    context = send(Session(), "DiagnosticReport-open", report_context("A1", result=results), next="v1").session.current
    assert context is not None
    change = Change(reference="Observation/ours", resource=None if take_away else observation("Clear.", "ours"))
    made = make_update(context, "C1", [change], find_dialect(dialect))
    item = made.item("report")
    assert item is not None
    assert (made.id, made.version, made.anchor) == ("C1", "v1", ("DiagnosticReport", "r1"))
    return dict(item)


def test_the_anchor_report_is_left_alone() -> None:
    """Our update names the report by reference, and changes nothing of it."""
    assert draft("stu3", "Observation/1") == {"key": "report", "reference": {"reference": "DiagnosticReport/r1"}}


def test_a_dialect_links_the_draft_to_its_report() -> None:
    """Where a dialect wants it the draft is among the report's results, beside those there, until it is withdrawn."""
    linked = draft("ira", "Observation/1")["resource"]
    assert linked["result"] == [{"reference": "Observation/1"}, {"reference": "Observation/ours"}]
    assert "resource" not in draft("ira", "Observation/ours")
    taken = draft("ira", "Observation/1", "Observation/ours", take_away=True)["resource"]
    assert taken["result"] == [{"reference": "Observation/1"}]


def test_a_session_holds_so_many_bytes() -> None:
    """A session that would grow beyond its bound is refused with 413: it is written whole with every event."""
    session = opened()
    for number in range(15):
        context = update_context(put(observation("x" * 2**19, f"o{number}")))
        session = send(session, "DiagnosticReport-update", context, f"v{number + 1}", next=f"v{number + 2}").session
        assert read_session(write_session(session)).describe() == session.describe()
    context = update_context(put(observation("x" * 2**19, "o15")))
    session = send(session, "DiagnosticReport-update", context, "v16", next="v17").session
    with pytest.raises(CastFault) as caught:
        write_session(session)
    assert caught.value.status == 413


TestHub = Hub.TestCase
