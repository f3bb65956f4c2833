"""Batches and transactions (R4 http.html#transaction)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from radbridge.errors import JournalError
from radbridge_adapters.fhir.body import Bodies
from radbridge_adapters.fhir.etag import format_etag
from radbridge_adapters.fhir.execution import Executor
from radbridge_adapters.fhir.planning import Outcome
from radbridge_adapters.fhir.reading import Reading
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.route import Router
from radbridge_adapters.fhir.store.record import format_instant
from radbridge_adapters.fhir.transaction import Entry, at, make_intent, plan, read_entry, settle
from radbridge_adapters.fhir.writing import author_of, forbid_temporary
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.outcome import Issues, outcome_of, refuse
from radbridge_adapters.resources.validate import validate

Read = Callable[[Request], Awaitable[Answer]]


class Bundles:
    """Carries out what is posted to the server itself."""

    def __init__(
        self,
        executor: Executor,
        bodies: Bodies,
        *,
        router: Router,
        reading: Reading,
        reads: Mapping[str, Read],
        max_entries: int,
    ) -> None:
        """`reads` are the interactions that only show something."""
        self._executor = executor
        self._bodies = bodies
        self._router = router
        self._reading = reading
        self._reads = reads
        self._max_entries = max_entries

    async def carry_out(self, request: Request) -> Answer:
        """Answer a batch or a transaction."""
        bundle = await self._bodies.work(len(request.body), partial(self._parse, request.body))
        if bundle.get("type") == "transaction":
            await self._bodies.work(len(request.body), partial(validate, bundle))
            return await self._transaction(bundle, request)
        return await self._batch(bundle, request)

    def _parse(self, raw: bytes) -> dict[str, Any]:
        """A Bundle, its entries still unchecked."""
        bundle = read_json(raw)
        entries = bundle.get("entry")
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") not in ("batch", "transaction"):
            raise refuse(
                "invariant", "this address takes a batch or a transaction", expression="Bundle.type", status=400
            )
        if isinstance(entries, list) and len(entries) > self._max_entries:
            diagnostics = f"a Bundle may have {self._max_entries} entries"
            raise refuse("too-costly", diagnostics, expression="Bundle.entry", status=413)
        return bundle

    async def _transaction(self, bundle: Mapping[str, Any], request: Request) -> Answer:
        made = plan(bundle, request.base, self._router)
        for entry in made.entries:
            _require(entry, request)
        answers: dict[int, dict[str, Any]] = {}
        if made.intents:
            outcomes = await self._executor.execute(made.intents, author_of(request), partial(settle, made))
            for entry, outcome in zip(made.writers, outcomes, strict=True):
                answers[entry.index] = self._stored(outcome, request)
        for entry in made.readers:
            try:
                answers[entry.index] = await self._show(entry, request)
            except Issues as fault:
                raise at(fault, entry.place) from None
        return _response("transaction-response", [answers[entry.index] for entry in made.entries])

    async def _batch(self, bundle: Mapping[str, Any], request: Request) -> Answer:
        entries = bundle.get("entry") or ()
        validate(_shell(bundle) if isinstance(entries, list) else bundle)
        answers = []
        for index, entry in enumerate(entries):
            answers.append(await self._alone(index, entry, request))
            await asyncio.sleep(0)
        return _response("batch-response", answers)

    async def _alone(self, index: int, raw: Any, request: Request) -> dict[str, Any]:
        """One entry of a batch; what is wrong with it is its own matter."""
        try:
            _validate_entry(index, raw)
            entry = read_entry(index, raw, request.base, self._router)
            _require(entry, request)
            if not entry.is_write:
                return await self._show(entry, request)
            forbid_temporary(entry.document or {}, f"{entry.place}.resource")
            [outcome] = await self._executor.execute([make_intent(entry)], author_of(request))
            return self._stored(outcome, request)
        except Issues as fault:
            return _refused(fault)
        except JournalError:
            return _refused(refuse("transient", "nothing can be stored now; send it again", status=503))

    def _stored(self, outcome: Outcome, request: Request) -> dict[str, Any]:
        request.views.keep(outcome.type, outcome.id, outcome.version, is_new=outcome.is_new)
        response = {
            "status": "201 Created" if outcome.status == 201 else "200 OK",
            "location": f"{outcome.type}/{outcome.id}/_history/{outcome.version}",
            "etag": format_etag(outcome.version),
            "lastModified": format_instant(outcome.at),
        }
        named = {"fullUrl": f"{request.base}/{outcome.type}/{outcome.id}"}
        if request.prefers("return") == "minimal":
            return named | {"response": response}
        return named | {"resource": _embed(self._reading.show(outcome.type, outcome.raw)), "response": response}

    async def _show(self, entry: Entry, request: Request) -> dict[str, Any]:
        found = entry.found
        asked = replace(
            request,
            method="GET",
            interaction=found.route.interaction,
            type=found.type,
            id=found.id,
            version=found.version,
            query=entry.query,
            headers={"if-none-match": str(entry.request.get("ifNoneMatch", ""))},
            body=b"",
        )
        answer = await self._reads[found.route.interaction](asked)
        response = {"status": str(answer.status)}
        response |= {"etag": answer.headers["etag"]} if "etag" in answer.headers else {}
        document = answer.document
        return ({"resource": _embed(document)} if document is not None else {}) | {"response": response}


def _validate_entry(index: int, entry: Any) -> None:
    """Hold one entry to R4 as if it were alone; the places are those of the whole Bundle."""
    try:
        validate({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    except Issues as fault:
        here = f"Bundle.entry[{index}]"
        issues = (replace(i, expression=i.expression.replace("Bundle.entry[0]", here, 1)) for i in fault.issues)
        raise Issues(issues, status=fault.status) from None


def _shell(bundle: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bundle.items() if name != "entry"}


def _require(entry: Entry, request: Request) -> None:
    try:
        request.client.require(entry.found.type, entry.found.route.verb)
        if entry.query and entry.is_write:
            request.client.require(entry.found.type, "s")
    except Issues as fault:
        raise at(fault, f"{entry.place}.request") from None


def _refused(fault: Issues) -> dict[str, Any]:
    return {"response": {"status": str(fault.status), "outcome": outcome_of(fault.issues)}}


def _embed(document: Mapping[str, Any] | bytes) -> orjson.Fragment:
    return orjson.Fragment(document if isinstance(document, bytes) else write_json(document))


def _response(kind: str, entries: Sequence[Mapping[str, Any]]) -> Answer:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    return Answer(document=bundle | ({"entry": entries} if entries else {}))
