"""Whoever is shown something by a web wire is in the trail, with the very commit that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from radbridge.audit import Note, What, to_fhir
from radbridge.journal import audit
from radbridge_adapters import cdshooks, fhir, fhircast
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.fhir import patient
from tests.support.live import LiveGateway, live, make_site
from tests.support.peers import Validator
from tests.support.trail import make_note


def notes(gateway: LiveGateway, via: str) -> list[Note]:
    """What clients of a wire did, as far as it is chained; not what was then made of it."""
    told = [event.note for event in gateway.journal.read_now(audit.chained)]
    return [note for note in told if note.via == via and not {"message_id", "destination"} & note.detail.keys()]


async def test_a_card_a_resource_and_a_session_are_noted(tmp_path: Path) -> None:
    """A CDS card with its case, a FHIR read and refusal with its ids, a FHIRcast GET without its topic."""
    site = make_site(tmp_path, cdshooks={"deadline_s": 10.0})
    async with (
        live(site, cdshooks.wire, fhir.wire, fhircast.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=20) as http,
    ):
        assert (await http.post(REPORT_DRAFT, json=draft_call())).json()["cards"]
        made = (await http.post("/fhir/Patient", json=patient("900123"))).json()["id"]
        await http.get(f"/fhir/Patient/{made}")
        await http.get("/fhir/Patient/nobody")
        await http.get("/fhircast/secret-topic")
        await gateway.until(lambda: notes(gateway, "fhircast") and len(notes(gateway, "fhir")) >= 3)
        (card,) = notes(gateway, "cdshooks")
        (session,) = notes(gateway, "fhircast")
        done = notes(gateway, "fhir")
        verified = gateway.journal.read_now(audit.verify)
    assert (card.entity and card.entity.accession, card.patient) == ("A500001", "900001")
    assert (card.what, session.what) == (What.VIEWED, What.VIEWED)
    assert "secret-topic" not in str(session)
    assert [(n.detail["interaction"], n.detail["status"]) for n in done] == [
        ("create", "201"),
        ("read", "200"),
        ("read", "404"),
    ]
    assert done[1].detail["targets"] == f"Patient/{made}"
    assert "900123" not in str(done)
    assert verified.events > 5


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as both:
        yield both


@pytest.mark.parametrize("what", What)
def test_an_exported_event_is_valid(validator: Validator, what: What) -> None:
    """Every kind of event, of RadBridge's own and of a person, is an R4 AuditEvent for both validators."""
    own = to_fhir(make_note(what=what, entity=None, patient="", detail={"version": "1"}), id="1")
    asked = to_fhir(make_note(what=what, actor="mueller", role="operator", peer="10.1.2.3"), id="2")
    assert not validator.problems(own)
    assert not validator.problems(asked)
