"""From intents to committed versions: look, decide, commit, and look again when somebody was faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from radbridge.wire import Store
from radbridge_adapters.fhir.planning import Decision, Intent, Look, Outcome, build, decide, look
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.resources.outcome import refuse
from radbridge_adapters.security import Client

TRIES = 24
"""Looks at a state that others change meanwhile, before the client is told of a conflict."""

Document = Mapping[str, Any]
Rule = Callable[[Document, "Author"], Document]
"""What is stored instead of a document of some type. Raises Issues for what the server can't do."""
Prepare = Callable[[Connection, Sequence[Intent], Sequence[Decision]], Sequence[Document]]
"""The documents, once it is decided where they go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """In whose name something is stored."""

    client: Client
    base: str = ""
    """What they call this server: a reference below it is one to our own."""
    peer: str = ""


class Executor:
    """Carries intents out."""

    def __init__(self, store: Store, vault: Vault, rules: Mapping[str, Rule]) -> None:
        """`rules` are by resource type."""
        self._store = store
        self._vault = vault
        self._rules = rules

    async def execute(self, intents: Sequence[Intent], author: Author, prepare: Prepare | None = None) -> list[Outcome]:
        """Commit all of it or nothing.

        Raises Issues (400, 403, 409, 412), and JournalError when nothing can be stored.
        """
        is_plain = prepare is None and all(intent.is_plain for intent in intents)
        for _ in range(TRIES):
            if is_plain:
                decisions = [decide(intent, Look()) for intent in intents]
                documents: Sequence[Document] = [intent.document for intent in intents]
            else:
                decisions, documents = await self._store.read(partial(_plan, intents, prepare))
            for intent, decision in zip(intents, decisions, strict=True):
                if decision.writes and decision.version == 1:
                    author.client.require(intent.type, "c")  # an update that creates
            ruled = [self._apply_rule(document, author) for document in documents]
            change, outcomes = build(
                intents, decisions, ruled, client=author.client.id, base=author.base, peer=author.peer
            )
            if not change.versions or await self._vault.commit(change):
                return outcomes
        raise refuse("conflict", "others change the same resource all the time; send it again", status=409)

    def _apply_rule(self, document: Document, author: Author) -> Document:
        rule = self._rules.get(str(document["resourceType"]))
        return rule(document, author) if rule else document


def _plan(
    intents: Sequence[Intent], prepare: Prepare | None, conn: Connection
) -> tuple[list[Decision], Sequence[Document]]:
    decisions = [decide(intent, seen) for intent, seen in zip(intents, look(conn, intents), strict=True)]
    documents = prepare(conn, intents, decisions) if prepare else [intent.document for intent in intents]
    return decisions, documents
