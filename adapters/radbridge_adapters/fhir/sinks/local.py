"""Drafts into our own FHIR store, where clients search for them and Subscriptions tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryFailed, DeliveryMoot, JournalError
from radbridge.wire import Store
from radbridge_adapters.fhir.planning import Intent, Look, build, decide, look
from radbridge_adapters.fhir.search.query import parse
from radbridge_adapters.fhir.sinks.source import SEARCHES, choose, escape
from radbridge_adapters.fhir.store.find import fetch, find_ids
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import DRAFT_SYSTEM
from radbridge_adapters.resources.draft import Composer, DraftResources, link_to
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.ours import SIGNED

NAME = "fhir"
CLIENT = "radbridge"
"""Who wrote these versions, for the store."""
_TRIES = 8
_AT_MOST = 20

Document = Mapping[str, Any]


class LocalSink:
    """The sink `fhir`; a `radbridge.wire.Sink`. A draft is one version of each resource, however often it is sent."""

    def __init__(self, store: Store, vault: Vault, composer: Composer, accessions: Accessions) -> None:
        self._store = store
        self._vault = vault
        self._composer = composer
        self._accessions = accessions

    @property
    def name(self) -> str:
        """Reserved for this sink."""
        return NAME

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The three resources as a Bundle."""
        return write_json(self._composer.compose(case, draft).bundle())

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The same resources, declared an error."""
        return write_json(self._composer.withdraw(case, draft).bundle())

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Store it beside the hospital's report. Raises DeliveryFailed; DeliveryMoot when a human has signed ours."""
        draft = DraftResources.parse(payload)
        try:
            for _ in range(_TRIES):
                if await self._store_once(draft):
                    return "stored"
        except JournalError as error:
            raise DeliveryFailed(NAME, str(error), sent=False) from None
        raise DeliveryFailed(NAME, "the draft's resources are being changed all the time")

    async def _store_once(self, draft: DraftResources) -> bool:
        intents = _intents(draft)
        seen, source = await self._store.read(partial(self._look, intents, draft))
        if any(_is_signed(one) for one in seen):
            raise DeliveryMoot(NAME, "somebody signed the draft's own report: it is left alone")
        if draft.is_withdrawn and not any(one.current for one in seen):
            return True  # it never got here
        decisions = [decide(intent, one) for intent, one in zip(intents, seen, strict=True)]
        names = {
            urn: f"{intent.type}/{decision.id}"
            for urn, intent, decision in zip(draft.urns, intents, decisions, strict=True)
        }
        documents = (link_to(draft, source) if source else draft).placed(names)
        change, _ = build(intents, decisions, documents, client=CLIENT, base="", peer="")
        return not change.versions or await self._vault.commit(change)

    def _look(
        self, intents: Sequence[Intent], draft: DraftResources, conn: Connection
    ) -> tuple[list[Look], Document | None]:
        found: dict[tuple[str, str], None] = {}
        for kind, parameter in SEARCHES:
            query = parse(kind, [(parameter, escape(draft.accession["value"]))])
            found |= dict.fromkeys((kind, id) for id in find_ids(conn, query, _AT_MOST))
        documents = [read_json(match.raw) for match in fetch(conn, found)]
        return look(conn, intents), choose(documents, draft.accession, self._accessions)

    async def ping(self) -> None:
        """Our own store is there while the journal is."""

    async def close(self) -> None:
        """Nothing to close."""


def _intents(draft: DraftResources) -> list[Intent]:
    """By the case's identifier for what there is one of, by the draft's tag for the Provenance of each draft."""
    conditions = (
        ("PUT", "Observation", "identifier", draft.name),
        ("PUT", "DiagnosticReport", "identifier", draft.name),
        ("POST", "Provenance", "_tag", draft.tag),
    )
    return [
        Intent(
            method=method, type=kind, document={}, condition=parse(kind, [(name, f"{DRAFT_SYSTEM}|{escape(value)}")])
        )
        for method, kind, name, value in conditions
    ]


def _is_signed(seen: Look) -> bool:
    return seen.current is not None and read_json(seen.current.raw).get("status") in SIGNED
