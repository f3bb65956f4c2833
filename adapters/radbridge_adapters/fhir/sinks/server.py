"""Drafts to a hospital's FHIR server: one resource of each kind a case, a version a draft, whatever is sent twice.

The payload is composed once and stays; ids and versions of that server are looked up at each try and put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryError, DeliveryFailed, DeliveryMoot, DeliveryRefused
from radbridge_adapters.fhir.sinks.source import SEARCHES, choose, escape
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import DRAFT_SYSTEM
from radbridge_adapters.resources.draft import Composer, DraftResources, link_to
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.ours import SIGNED
from radbridge_adapters.rest import FhirClient, Reply

KINDS = ("Observation", "DiagnosticReport", "Provenance")
_CONFLICTS = frozenset({"409", "412"})

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the server has of a case's drafts."""

    resources: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """By type, as far as it is there; the Provenance only of this very draft."""

    def has(self, draft: DraftResources) -> bool:
        """Whether all of this draft is there: then an earlier try came through, though its answer did not."""
        states = {"Observation": draft.observation["status"], "DiagnosticReport": draft.report["status"]}
        return len(self.resources) == len(KINDS) and all(
            _tags(self.resources[kind]) == {draft.tag} and self.resources[kind].get("status") == status
            for kind, status in states.items()
        )


class FhirServerSink:
    """One destination of `fhir.destinations`; a `radbridge.wire.Sink`."""

    def __init__(self, client: FhirClient, composer: Composer, accessions: Accessions, *, in_one: bool = True) -> None:
        """`in_one`: a transaction Bundle; else three requests, for a server that takes no Bundle."""
        self._client = client
        self._composer = composer
        self._accessions = accessions
        self._in_one = in_one

    @property
    def name(self) -> str:
        """The destination's name in the site's file."""
        return self._client.name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The three resources as a Bundle."""
        return write_json(self._composer.compose(case, draft).bundle())

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The same resources, declared an error."""
        return write_json(self._composer.withdraw(case, draft).bundle())

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Create or update. Raises DeliveryFailed (also for a version that changed meanwhile), DeliveryRefused.

        DeliveryMoot: somebody has signed our report there; it is theirs now.
        """
        draft = DraftResources.parse(payload)
        with self._before_it_is_sent():
            seen = await self._look(draft)
        if any(one.get("status") in SIGNED for one in seen.resources.values()):
            raise DeliveryMoot(self.name, "somebody signed the draft's own report: it is left alone")
        if seen.has(draft):
            return "there already"
        if draft.is_withdrawn and not seen.resources:
            return "nothing to take back"
        with self._before_it_is_sent():
            source = await self._find_source(draft)
        linked = link_to(draft, source) if source else draft
        await (self._send_in_one if self._in_one else self._send_apart)(linked, seen)
        return "stored"

    async def ping(self) -> None:
        """Raises DeliveryFailed when the server doesn't answer for its capabilities."""
        try:
            self._client.demand(await self._client.send("GET", "metadata"))
        except DeliveryRefused as error:
            raise DeliveryFailed(self.name, str(error)) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    @contextmanager
    def _before_it_is_sent(self) -> Iterator[None]:
        """A server that says nothing to a question has got nothing of the draft."""
        try:
            yield
        except DeliveryFailed as error:
            raise error if error.answered else DeliveryFailed(self.name, str(error), sent=False) from None

    async def _look(self, draft: DraftResources) -> Seen:
        resources: dict[str, Mapping[str, Any]] = {}
        for kind in KINDS:
            found = await self._client.search(kind, [_criterion(kind, draft)])
            if len(found) > 1:
                raise DeliveryRefused(self.name, f"has more than one {kind} of this draft; an operator has to look")
            if found:
                resources[kind] = found[0]
        return Seen(resources=resources)

    async def _find_source(self, draft: DraftResources) -> Mapping[str, Any] | None:
        """A server that can't search so has to do without a link: the draft says the accession all the same."""
        found: list[Mapping[str, Any]] = []
        for kind, parameter in SEARCHES:
            try:
                found += await self._client.search(kind, [(parameter, escape(draft.accession["value"]))])
            except DeliveryRefused:
                continue
        return choose(found, draft.accession, self._accessions)

    async def _send_in_one(self, draft: DraftResources, seen: Seen) -> None:
        names = {
            urn: f"{kind}/{seen.resources[kind]['id']}"
            for urn, kind in zip(draft.urns, KINDS, strict=True)
            if kind in seen.resources
        }
        entries = [
            {"fullUrl": urn, "resource": _with_id(resource, seen), "request": _request_of(resource, draft, seen)}
            for urn, resource in zip(draft.urns, draft.placed(names), strict=True)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        reply = self._client.demand(await self._client.send("POST", document=write_json(bundle)))
        for entry in reply.document.get("entry", ()):
            self._check(str(entry.get("response", {}).get("status", "")))

    def _check(self, status: str) -> None:
        """A server that answers a transaction with the states of a batch."""
        if status.startswith("2"):
            return
        error: type[DeliveryError] = (
            DeliveryFailed if status[:3] in _CONFLICTS or status[:1] == "5" else DeliveryRefused
        )
        raise error(self.name, f"HTTP {status[:3]} in the transaction" if status[:3].isdigit() else "no transaction")

    async def _send_apart(self, draft: DraftResources, seen: Seen) -> None:
        names: dict[str, str] = {}
        for index, (urn, kind) in enumerate(zip(draft.urns, KINDS, strict=True)):
            resource = _with_id(draft.placed(names)[index], seen)
            request = _request_of(resource, draft, seen)
            headers = {h: request[key] for h, key in _HEADERS.items() if key in request}
            answer = await self._client.send(
                request["method"], request["url"], document=write_json(resource), headers=headers
            )
            names[urn] = f"{kind}/{self._id_of(self._client.demand(answer), kind)}"

    def _id_of(self, reply: Reply, kind: str) -> str:
        """The id that the server gave, from the resource or from Location."""
        parts = reply.location.partition("/_history/")[0].split("/")
        found = reply.document.get("id") or (parts[-1] if parts[-2:-1] == [kind] else "")
        if not found:
            raise DeliveryRefused(self.name, f"named no id for the {kind}")
        return str(found)


_HEADERS = {"if-match": "ifMatch", "if-none-exist": "ifNoneExist"}
"""What stands in a request of its own -> what stands in a Bundle."""


def _criterion(kind: str, draft: DraftResources) -> tuple[str, str]:
    if kind == "Provenance":
        return "_tag", f"{DRAFT_SYSTEM}|{draft.tag}"
    return "identifier", f"{DRAFT_SYSTEM}|{draft.name}"


def _with_id(resource: Document, seen: Seen) -> Document:
    known = seen.resources.get(resource["resourceType"])
    return {**resource, "id": known["id"]} if known else resource


def _request_of(resource: Document, draft: DraftResources, seen: Seen) -> dict[str, str]:
    """Update what is there if it is still that version; create what isn't, unless somebody does so meanwhile."""
    kind = resource["resourceType"]
    name, value = _criterion(kind, draft)
    criteria = urlencode([(name, value)])
    known = seen.resources.get(kind)
    if kind == "Provenance":
        return {"method": "POST", "url": kind, "ifNoneExist": criteria}
    if known is None:
        return {"method": "PUT", "url": f"{kind}?{criteria}"}
    version = known.get("meta", {}).get("versionId")
    return {"method": "PUT", "url": f"{kind}/{known['id']}"} | ({"ifMatch": f'W/"{version}"'} if version else {})


def _tags(resource: Mapping[str, Any]) -> set[str]:
    return {tag.get("code", "") for tag in resource.get("meta", {}).get("tag", ()) if tag.get("system") == DRAFT_SYSTEM}
