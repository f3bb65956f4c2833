"""The CDS Hooks service over a real socket: cards for reports in progress, the errors of the standard, feedback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from radbridge.case import CaseKey
from radbridge.journal import cases
from radbridge.journal.schema import draft_feedback, messages
from radbridge.testing import FakeModel
from radbridge_adapters import cdshooks
from radbridge_adapters.cdshooks.card import escape
from radbridge_adapters.security.pins import read_pin
from tests.support.cds import ACSN, FINDINGS, ORDER_SIGN, REPORT_DRAFT, call, draft_call, findings, patient, report
from tests.support.certificates import Authority
from tests.support.http_peer import answer, run_peer
from tests.support.live import LiveGateway, live, make_site
from tests.support.peers import Validator, fhir_server
from tests.support.smart import es384

Answer = tuple[LiveGateway, httpx.AsyncClient]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a caller's keys may be slow to give them, and so may a hospital's server."""
    monkeypatch.setattr("radbridge_adapters.security.fetching.TIMEOUT_S", 60.0)
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)


@asynccontextmanager
async def calling(
    folder: Path, model: FakeModel | None = None, *, model_table: dict[str, Any] | None = None, **tables: Any
) -> AsyncIterator[Answer]:
    tables["cdshooks"] = {"deadline_s": 60.0} | tables.get("cdshooks", {})
    site = make_site(folder, **tables | ({"model": model_table} if model_table else {}))
    async with (
        live(site, cdshooks.wire, model=model) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=120) as http,
    ):
        yield gateway, http


async def test_discovery_tells_the_services(tmp_path: Path) -> None:
    """Each has an id, a hook, a description and prefetch templates; no login is asked for."""
    async with calling(tmp_path, cdshooks={"client_issuers": {"ehr": "http://127.0.0.1:1/jwks"}}) as (_, http):
        services = (await http.get("/cds-services")).json()["services"]
    assert {service["hook"] for service in services} == {"report-draft", "order-sign"}
    assert all(service["id"] and service["description"] and service["prefetch"] for service in services)


async def test_a_report_in_progress_gets_its_draft_as_a_card(tmp_path: Path) -> None:
    """The text is in the card, the suggestion creates a valid, unverified, labelled Observation with just that text."""
    async with calling(tmp_path) as (gateway, http):
        said = await http.post(REPORT_DRAFT, json=draft_call())
        assert said.status_code == 200, said.text
        (card,) = said.json()["cards"]
        (stored,) = gateway.drafts("A500001")
        case = gateway.case("A500001")
    assert case is not None
    assert (case.report.findings, case.signer.id, case.patient.id) == (FINDINGS, "1001", "900001")
    assert "7 mm nodule" in card["detail"]
    assert len(card["summary"]) < 140
    assert card["source"]["label"] == "RadBridge"
    assert card["selectionBehavior"] == "at-most-one"
    (action,) = card["suggestions"][0]["actions"]
    observation = action["resource"]
    assert (action["type"], observation["status"]) == ("create", "preliminary")
    assert observation["valueString"] == stored.draft.text
    assert observation["meta"]["security"][0]["code"] == "AIAST"
    with Validator() as validator:
        assert validator.problems(observation) == []


async def test_the_same_call_again_makes_no_second_draft(tmp_path: Path) -> None:
    """Same report, same draft, same card; nothing is journaled twice."""
    async with calling(tmp_path) as (gateway, http):
        first, second = [(await http.post(REPORT_DRAFT, json=draft_call())).json() for _ in range(2)]
        assert first == second
        assert len(gateway.drafts("A500001")) == 1
        assert len(gateway.journal.read_now(lambda conn: conn.execute(select(messages)).all())) == 1


async def test_a_call_that_has_the_id_of_another_one(tmp_path: Path) -> None:
    """A `hookInstance` is one call's: other content under it is taken in too, and counted as an id used twice."""
    orders = [
        {"resourceType": "ServiceRequest", "id": id, "identifier": [{"type": ACSN, "value": "A500002"}]}
        | {"status": "draft", "intent": "order", "subject": {"reference": "Patient/p1"}, "code": {"text": f"CT {id}"}}
        for id in ("s1", "s2")
    ]
    batch = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in orders]}
    instance = {"hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"}
    async with calling(tmp_path) as (gateway, http):
        for text in (FINDINGS, FINDINGS, "No nodule. The heart is normal in size."):
            (await http.post(REPORT_DRAFT, json=draft_call(text=text) | instance)).raise_for_status()
        of_one = call("order-sign", context={"draftOrders": batch}, prefetch={"patient": patient()})
        (await http.post(ORDER_SIGN, json=of_one)).raise_for_status()
        assert len(gateway.journal.read_now(lambda conn: conn.execute(select(messages)).all())) == 4
        assert "radbridge_control_ids_reused_total 1.0" in gateway.metrics.page().decode()


async def test_a_changed_text_gets_a_draft_of_its_own(tmp_path: Path) -> None:
    """A card never shows the draft of an earlier text."""
    async with calling(tmp_path) as (_, http):
        await http.post(REPORT_DRAFT, json=draft_call())
        changed = await http.post(REPORT_DRAFT, json=draft_call(text="No nodule. The heart is normal in size."))
    assert changed.json()["cards"][0]["detail"].startswith("No nodule")


async def test_an_earlier_text_is_drafted_again(tmp_path: Path) -> None:
    """Whoever goes back to a text gets a card for it, though its first draft was taken back meanwhile."""
    async with calling(tmp_path) as (gateway, http):
        for text in (FINDINGS, "No nodule. The heart is normal in size.", FINDINGS):
            said = await http.post(REPORT_DRAFT, json=draft_call(text=text))
            assert len(said.json()["cards"]) == 1, said.text
            assert escape(text.split(".")[0]) in said.json()["cards"][0]["detail"]
        assert len(gateway.drafts("A500001")) == 3


async def test_no_draft_in_time_is_no_card(tmp_path: Path) -> None:
    """A slow model costs the caller the deadline and nothing else."""
    model, slow = FakeModel(delay_s=600), {"deadline_s": 600.0, "settle_s": 0.02}
    async with calling(tmp_path, model, model_table=slow, cdshooks={"deadline_s": 0.2}) as (_, http):
        said = await http.post(REPORT_DRAFT, json=draft_call())
    assert (said.status_code, said.json()) == (200, {"cards": []})


@pytest.mark.parametrize("status", ["final", "amended", "cancelled", "entered-in-error"])
async def test_a_report_that_is_done_gets_no_card(tmp_path: Path, status: str) -> None:
    """A question about a signed report changes nothing here: sign-off comes by the wires that are made for it."""
    said = call(context={"report": report(status=status)}, prefetch={"o": findings()})
    async with calling(tmp_path) as (gateway, http):
        assert (await http.post(REPORT_DRAFT, json=said)).json() == {"cards": []}
        assert gateway.case("A500001") is None


async def test_a_report_that_nobody_has_is_told_apart_from_one_that_was_not_fetched(tmp_path: Path) -> None:
    """`null` is none: no card. A key left out is not fetched: 412, and a server nobody configured is never asked."""
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    trap = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}/fhir"
    async with trap, calling(tmp_path) as (_, http):
        none = await http.post(REPORT_DRAFT, json=call(context={"reportId": "r1"}, prefetch={"report": None}))
        assert (none.status_code, none.json()) == (200, {"cards": []})
        token = {"access_token": "secret", "token_type": "Bearer"}
        servers: list[dict[str, Any]] = [{}, {"fhirServer": url, "fhirAuthorization": token}]
        for more in servers:
            said = await http.post(REPORT_DRAFT, json=call(context={"reportId": "r1"}, **more))
            assert (said.status_code, said.json()["resourceType"]) == (412, "OperationOutcome")
    assert asked == []


async def test_a_configured_server_is_asked_for_what_was_not_prefetched(tmp_path: Path) -> None:
    """The report, its findings and all are fetched from the hospital's server by its own name, not with the token."""
    async with fhir_server() as url, httpx.AsyncClient(trust_env=False, timeout=60) as ehr:
        made = await ehr.post(f"{url}/Observation", json=findings())
        whole = report() | {"result": [{"reference": f"Observation/{made.json()['id']}"}]}
        local = {name: whole[name] for name in whole if name not in {"subject", "resultsInterpreter"}}
        made = await ehr.post(f"{url}/DiagnosticReport", json=local)
        asked = call(context={"reportId": made.json()["id"]}, fhirServer=url)
        async with calling(tmp_path, fhir={"destinations": [{"name": "ehr", "url": url, "timeout_s": 60.0}]}) as (
            gateway,
            http,
        ):
            said = await http.post(REPORT_DRAFT, json=asked)
            assert said.status_code == 200, said.text
            assert len(said.json()["cards"]) == 1
            case = gateway.case("A500001")
    assert case is not None
    assert case.report.findings == FINDINGS


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        (call("order-sign"), "hook"),
        (draft_call(hookInstance="7"), "hookInstance"),
        (draft_call(context=None), "context"),
        (draft_call(context={"userId": "x"}), "context.patientId"),
        (draft_call(prefetch=[]), "prefetch"),
        (call(context={"report": {}}), "context.report"),
        (call(context={"report": findings()}), "context.report"),
        (draft_call(prefetch={"report": {"resourceType": "Nonsense"}}), "prefetch.report"),
        (draft_call(prefetch={"report": 7}), "prefetch.report"),
        (call(context={"report": report(status="nonsense")}), "context.report: DiagnosticReport.status"),
    ],
)
async def test_a_malformed_call_is_told_what_is_wrong(tmp_path: Path, body: dict[str, Any], expression: str) -> None:
    """400 with an OperationOutcome that names the place; the body is kept for an operator."""
    async with calling(tmp_path) as (gateway, http):
        said = await http.post(REPORT_DRAFT, json=body)
        assert said.status_code == 400
        assert any(expression in issue["expression"][0] for issue in said.json()["issue"]), said.text
        kept = gateway.journal.read_now(lambda conn: conn.execute(select(messages.c.state)).scalars().all())
        assert kept == ["rejected"]


async def test_other_addresses_methods_and_sizes_are_refused(tmp_path: Path) -> None:
    """By HTTP's own codes, never with a stack or a guess."""
    async with calling(tmp_path) as (_, http):
        assert (await http.post("/cds-services/nobody", json=draft_call())).status_code == 404
        assert (await http.post(f"{REPORT_DRAFT}/else", json=draft_call())).status_code == 404
        assert (await http.get(REPORT_DRAFT)).status_code == 405
        assert (await http.delete("/cds-services")).status_code == 405
        assert (await http.post(REPORT_DRAFT, content=b" " * (3 << 20))).status_code == 413
        assert (await http.post(REPORT_DRAFT, content=b"[" * 5000)).status_code == 400
        no_accession = report() | {"identifier": []}
        no_accession.pop("identifier")
        said = await http.post(REPORT_DRAFT, json=call(context={"report": no_accession}, prefetch={"o": findings()}))
        assert said.status_code == 412


async def test_feedback_becomes_the_outcome_of_its_draft(tmp_path: Path) -> None:
    """Accepted and overridden are kept beside the draft, the last one counts; a comment is not kept."""
    async with calling(tmp_path) as (gateway, http):
        card = (await http.post(REPORT_DRAFT, json=draft_call())).json()["cards"][0]
        at = "2026-01-02T03:04:05Z"
        suggestion = [{"id": card["suggestions"][0]["uuid"]}]
        accepted = {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": suggestion}
        reason = {"reason": {"code": "style", "system": "x"}, "userComment": "JANE DOE has none of this"}
        overridden = {"card": card["uuid"], "outcome": "overridden", "overrideReason": reason}
        unknown = {"card": "b2f3", "outcome": "overridden"}
        for told in (accepted, overridden, unknown):
            said = await http.post(f"{REPORT_DRAFT}/feedback", json={"feedback": [told | {"outcomeTimestamp": at}]})
            assert said.status_code == 200, said.text
        (stored,) = gateway.drafts("A500001")
        rows = gateway.journal.read_now(
            lambda conn: conn.execute(select(draft_feedback).order_by(draft_feedback.c.seq)).all()
        )
    assert [(row.draft_id, row.source, row.outcome, row.reason_code) for row in rows] == [
        (stored.draft.id, "cdshooks", "accepted", ""),
        (stored.draft.id, "cdshooks", "overridden", "style"),
    ]
    assert "JANE" not in str(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "signed"},
        {"outcome": "accepted"},
        {"outcomeTimestamp": "yesterday"},
        {"card": 7},
    ],
)
async def test_malformed_feedback_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """An outcome that the standard doesn't know, none of its time, an acceptance of nothing."""
    told = {"card": "x", "outcome": "overridden", "outcomeTimestamp": "2026-01-02T03:04:05Z"} | change
    async with calling(tmp_path) as (_, http):
        bodies: list[dict[str, Any]] = [{"feedback": [told]}, {"feedback": []}, {}]
        for body in bodies:
            assert (await http.post(f"{REPORT_DRAFT}/feedback", json=body)).status_code == 400


async def test_orders_are_learned_before_their_reports(tmp_path: Path) -> None:
    """An imaging order about to be signed becomes a case with its indication; a drug becomes nothing."""
    order = {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "identifier": [{"type": ACSN, "value": "A500002"}],
        "status": "draft",
        "intent": "order",
        "code": {"text": "CT CHEST"},
        "subject": {"reference": "Patient/p1"},
        "reasonCode": [{"text": "Cough for six weeks"}],
    }
    drug = {"resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": order["subject"]}
    drug |= {"medicationCodeableConcept": {"text": "aspirin"}}
    orders = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}, {"resource": drug}]}
    said = call("order-sign", context={"draftOrders": orders}, prefetch={"patient": patient()})
    async with calling(tmp_path) as (gateway, http):
        answer = await http.post(ORDER_SIGN, json=said)
        assert (answer.status_code, answer.json()) == (200, {"cards": []})
        key = CaseKey(accession="A500002")
        await gateway.until(lambda: gateway.journal.read_now(lambda conn: cases.load(conn, key)))
        case = gateway.case("A500002")
    assert case is not None
    assert (case.order.reason, case.patient.id) == ("Cough for six weeks", "900001")


async def test_a_caller_has_to_prove_who_it_is(tmp_path: Path) -> None:
    """With issuers configured, a JWT by their published keys for this very service, once; anything else is 401.

    The keys are fetched from whom the issuer's table trusts, and our certificate is shown there.
    """
    ehr, thief, other = es384("ehr"), es384("ehr"), es384("other")
    authority = Authority(tmp_path)
    shown = authority.issue("issuer")
    trust = {"ca_file": authority.ca, "cert_file": authority.issue("gateway"), "pins": [read_pin(shown)]}
    published = {"/ehr": answer(200, ehr.jwks), "/other": answer(200, other.jwks)}
    async with run_peer(published, context=authority.wants(shown)) as keys:
        issuers = {
            "ehr": {"jwks_uri": f"{keys.url}/ehr", **trust},
            "other": {"jwks_uri": f"{keys.url}/other", **trust, "pins": [read_pin(authority.ca)]},
        }
        async with calling(tmp_path, cdshooks={"client_issuers": issuers}) as (gateway, http):
            service = f"{gateway.base}{REPORT_DRAFT}"
            good = ehr.sign(service, sub=None)
            tokens = [good, good, thief.sign(service), ehr.sign(gateway.base), ehr.sign(service, iss="else")]
            shown_to_it = [{"authorization": f"Bearer {token}"} for token in (*tokens, other.sign(service))]
            codes = [(await http.post(REPORT_DRAFT, json=draft_call(), headers=one)).status_code for one in shown_to_it]
            refused = await http.post(REPORT_DRAFT, json=draft_call())
    assert codes == [200, 401, 401, 401, 401, 401]
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert {asked.path for asked in keys.asked} == {"/ehr"}


async def test_a_caller_has_one_rate_for_all_its_tokens(tmp_path: Path) -> None:
    """Each JWT counts once; whose it is counts against the rate, and the answer says when to come again."""
    ehr = es384("ehr")
    async with run_peer({"/ehr": answer(200, ehr.jwks)}) as keys:
        issuers = {"client_issuers": {"ehr": f"{keys.url}/ehr"}}
        async with calling(tmp_path, cdshooks=issuers, http={"rate_per_s": 0.01, "burst": 1}) as (gateway, http):
            service = f"{gateway.base}{REPORT_DRAFT}"
            headers = [{"authorization": f"Bearer {ehr.sign(service, sub=None)}"} for _ in range(2)]
            said = [await http.post(REPORT_DRAFT, json=draft_call(), headers=one) for one in headers]
    assert [one.status_code for one in said] == [200, 429]
    assert 0 < int(said[1].headers["retry-after"]) <= 100


async def test_a_web_page_is_let_in_by_name_only(tmp_path: Path) -> None:
    """CORS is off; a named origin gets its headers, another one none."""
    asked = {"origin": "https://ehr.example", "access-control-request-method": "POST"}
    async with calling(tmp_path) as (_, http):
        assert "access-control-allow-origin" not in (await http.options(REPORT_DRAFT, headers=asked)).headers
    async with calling(tmp_path, fhir={"cors_origins": ["https://ehr.example"]}) as (_, http):
        said = await http.options(REPORT_DRAFT, headers=asked)
        assert said.headers["access-control-allow-origin"] == "https://ehr.example"
        said = await http.get("/cds-services", headers={"origin": "https://ehr.example"})
        assert said.headers["access-control-allow-origin"] == "https://ehr.example"
        said = await http.options(REPORT_DRAFT, headers=asked | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in said.headers
