"""What a FHIR server has to do with the drafts that RadBridge writes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression
from radbridge_adapters.conformance.check import Broken, Check, Level, expect
from radbridge_adapters.conformance.specimen import FIRST, SECOND, new_case, new_draft
from radbridge_adapters.fhir.sinks.server import FhirServerSink
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import ACCESSION, AIAST, CANONICAL, DRAFT_SYSTEM, REPORT, concept, has_code
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.rest import FhirClient

_HOSPITAL_TEXT = "There is a 5 mm nodule in the right upper lobe."

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class FhirTarget:
    """A server, and what writes drafts to it: the very code that a site runs."""

    client: FhirClient
    sink: FhirServerSink

    async def deliver(self, case: Case, draft: DraftImpression, *, withdraw: bool = False) -> None:
        """Write a draft, or take it back."""
        compose = self.sink.compose_withdrawal if withdraw else self.sink.compose
        await self.sink.deliver(draft.id, compose(case, draft, draft.id))

    async def only(self, kind: str, case: Case) -> Document:
        """The one resource of this type that belongs to the case's drafts. Raises Broken."""
        found = await self.client.search(kind, [("identifier", f"{DRAFT_SYSTEM}|{name_of(case.key)}")])
        expect(len(found) == 1, f"{len(found)} resources {kind} with the draft's identifier, not one")
        return found[0]


def make_target(client: FhirClient, composer: Composer, *, in_one: bool) -> FhirTarget:
    """A server to check; `in_one`: by transaction Bundles, as `fhir.destinations.mode` says."""
    accessions = Accessions(types=frozenset({ACCESSION.value}), systems=frozenset())
    return FhirTarget(client=client, sink=FhirServerSink(client, composer, accessions, in_one=in_one))


def name_of(key: CaseKey) -> str:
    """What an invented case is called."""
    return f"conformance-{key.accession.lower()}"


async def _metadata(target: FhirTarget) -> None:
    document = target.client.demand(await target.client.send("GET", "metadata")).document
    expect(document.get("resourceType") == "CapabilityStatement", "GET metadata gives no CapabilityStatement")
    version = str(document.get("fhirVersion", ""))
    expect(version.startswith("4.0"), f"fhirVersion is {version or 'missing'!r}, not 4.0.x")


async def _create(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    report, observation = await target.only("DiagnosticReport", case), await target.only("Observation", case)
    expect(report.get("conclusion") == FIRST, "DiagnosticReport.conclusion is not the draft's text")
    expect(observation.get("valueString") == FIRST, "Observation.valueString is not the draft's text")
    results = [result.get("reference", "") for result in report.get("result", ())]
    expect(
        any(r.endswith(f"Observation/{observation['id']}") for r in results), "result is not the draft's Observation"
    )


async def _unverified(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    report, observation = await target.only("DiagnosticReport", case), await target.only("Observation", case)
    expect(report.get("status") == "partial", f"DiagnosticReport.status has become {report.get('status')!r}")
    expect(observation.get("status") == "preliminary", f"Observation.status has become {observation.get('status')!r}")


async def _labels(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    for kind in ("DiagnosticReport", "Observation"):
        labels = (await target.only(kind, case)).get("meta", {}).get("security", ())
        expect(any(has_code(label, AIAST) for label in labels), f"{kind}.meta.security has lost AIAST")


async def _extensions(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    urls = {
        extension.get("url", "") for extension in (await target.only("DiagnosticReport", case)).get("extension", ())
    }
    wanted = {f"{CANONICAL}/StructureDefinition/{name}" for name in ("findings-digest", "expires", "flag")}
    missing = sorted(url.rpartition("/")[2] for url in wanted - urls)
    expect(not missing, f"extensions lost: {', '.join(missing)}")


async def _provenance(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    report = await target.only("DiagnosticReport", case)
    found = await target.client.search("Provenance", [("target", f"DiagnosticReport/{report['id']}")])
    expect(found, "no Provenance is found by its target")


async def _once(target: FhirTarget) -> None:
    case, draft = new_case(), new_draft()
    await target.deliver(case, draft)
    first = await target.only("DiagnosticReport", case)
    await target.deliver(case, draft)
    again = await target.only("DiagnosticReport", case)
    expect(first["id"] == again["id"], "the same draft sent twice is two reports")


async def _redraft(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    first = await target.only("DiagnosticReport", case)
    await target.deliver(case, new_draft(SECOND))
    second = await target.only("DiagnosticReport", case)
    expect(second["id"] == first["id"], "the newer draft is a report of its own")
    expect(second.get("conclusion") == SECOND, "the newer draft's text is not there")
    versions = first.get("meta", {}).get("versionId"), second.get("meta", {}).get("versionId")
    expect(versions[0] != versions[1], "meta.versionId stayed the same")


async def _withdraw(target: FhirTarget) -> None:
    case, draft = new_case(), new_draft()
    await target.deliver(case, draft)
    await target.deliver(case, draft, withdraw=True)
    report = await target.only("DiagnosticReport", case)
    expect(report.get("status") == "entered-in-error", f"DiagnosticReport.status is {report.get('status')!r}")
    expect("conclusion" not in report, "the text of a draft that was taken back is still there")


async def _stale(target: FhirTarget) -> None:
    case = new_case()
    await target.deliver(case, new_draft())
    stale = await target.only("DiagnosticReport", case)
    await target.deliver(case, new_draft(SECOND))
    headers = {"if-match": f'W/"{stale.get("meta", {}).get("versionId", "")}"'}
    reply = await target.client.send("PUT", f"DiagnosticReport/{stale['id']}", document=stale, headers=headers)
    expect(reply.status in {409, 412}, f"an update with an old If-Match was answered HTTP {reply.status}, not 412")
    now = await target.only("DiagnosticReport", case)
    expect(now.get("conclusion") == SECOND, "an update with an old If-Match has changed the report")


async def _hospital(target: FhirTarget) -> None:
    case = new_case()
    own = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"type": concept(ACCESSION), "value": case.key.accession}],
        "status": "preliminary",
        "code": concept(REPORT),
        "conclusion": _HOSPITAL_TEXT,
    }
    made = target.client.demand(await target.client.send("POST", "DiagnosticReport", document=own)).document
    if "id" not in made:
        raise Broken("POST DiagnosticReport gives back no resource with an id")
    await target.deliver(case, new_draft())
    after = target.client.demand(await target.client.read(f"DiagnosticReport/{made['id']}")).document
    kept = (after.get("conclusion"), after.get("status"), after.get("meta", {}).get("versionId"))
    before = (made.get("conclusion"), made.get("status"), made.get("meta", {}).get("versionId"))
    expect(kept == before, "the hospital's own report changed when a draft was put beside it")


async def _outcome(target: FhirTarget) -> None:
    wrong = {"resourceType": "DiagnosticReport", "status": "partial", "code": "no CodeableConcept"}
    reply = await target.client.send("POST", "DiagnosticReport", document=wrong)
    expect(400 <= reply.status < 500, f"a malformed resource was answered HTTP {reply.status}")
    expect(reply.document.get("resourceType") == "OperationOutcome", "the refusal is no OperationOutcome")


CHECKS: Sequence[Check[FhirTarget]] = tuple(
    Check(id=id, level=level, promise=promise, clause=clause, run=run)
    for id, level, promise, clause, run in (
        ("fhir-metadata", Level.MUST, "says that it is an R4 server", "R4 http.html#capabilities", _metadata),
        ("fhir-create", Level.MUST, "takes a draft, and gives back its text", "R4 http.html#transaction", _create),
        ("fhir-unverified", Level.MUST, "leaves a draft unverified: partial, preliminary", "contract 1", _unverified),
        ("fhir-label", Level.MUST, "keeps the label of a machine's text (AIAST)", "R4 security-labels.html", _labels),
        ("fhir-once", Level.MUST, "has one report after the same draft came twice", "R4 http.html#cond-update", _once),
        (
            "fhir-redraft",
            Level.MUST,
            "makes a newer draft a new version of the same report",
            "R4 http.html#update",
            _redraft,
        ),
        ("fhir-withdraw", Level.MUST, "takes a draft back (entered-in-error, no text)", "contract 3.3", _withdraw),
        ("fhir-stale", Level.MUST, "refuses an update of a version that is gone", "R4 http.html#concurrency", _stale),
        ("fhir-beside", Level.MUST, "leaves its own report as it is", "contract 1", _hospital),
        ("fhir-extensions", Level.SHOULD, "keeps digest, expiry and flags", "R4 extensibility.html", _extensions),
        ("fhir-provenance", Level.SHOULD, "finds the Provenance of a draft", "R4 provenance.html", _provenance),
        (
            "fhir-outcome",
            Level.SHOULD,
            "says what is wrong as an OperationOutcome",
            "R4 operationoutcome.html",
            _outcome,
        ),
    )
)
