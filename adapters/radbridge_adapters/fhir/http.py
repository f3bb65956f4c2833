"""The FHIR server as an ASGI application: who asks, for what, and the answer in bytes."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import structlog

from radbridge.config import Site
from radbridge.errors import JournalError, MessageFault
from radbridge.traces import answering
from radbridge.wire import Desk, Receive, Rejected, Scope, Send
from radbridge_adapters.fhir import negotiate
from radbridge_adapters.fhir.audit import WRITES, Audit
from radbridge_adapters.fhir.body import Gone, read_body
from radbridge_adapters.fhir.cors import Cors
from radbridge_adapters.fhir.request import Answer, Request, Views
from radbridge_adapters.fhir.route import Found, Router
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.outcome import Issue, Issues, outcome_of, refuse
from radbridge_adapters.security import Client, Guard
from radbridge_adapters.security.http import headers_of
from radbridge_adapters.security.places import places_of

log = structlog.get_logger(__name__)

PREFIX = "/fhir"
KEPT = 64 * 1024
"""Bytes that are kept of a body that is refused."""
MAX_PARAMETERS = 256

Interaction = Callable[[Request], Awaitable[Answer]]


class FhirApp:
    """Answers requests below `/fhir`."""

    def __init__(
        self,
        site: Site,
        desk: Desk,
        *,
        guard: Guard,
        interactions: Mapping[str, Interaction],
        router: Router,
        audit: Audit,
    ) -> None:
        """`interactions` are by the names that the router's routes give."""
        self._site = site
        self._desk = desk
        self._guard = guard
        self._interactions = interactions
        self._router = router
        self._audit = audit
        self._cors = Cors(site.fhir.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Whatever goes wrong becomes an OperationOutcome."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            answer = self._cors.preflight(scope["method"], headers) or await self._answer(scope, headers, receive)
        except Gone:
            return
        await _send(send, scope["method"], answer, self._cors.headers(headers))

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Answer:
        path = scope["path"].removeprefix(PREFIX).strip("/")
        try:
            found = self._router.find(scope["method"], path)
        except Issues as fault:
            return _refusal(fault, {"allow": self._router.allowed(path)} if fault.status == 405 else {})
        client = Client(id="", scopes=())
        request: Request | None = None
        try:
            if not found.route.is_public:
                client = await self._guard.identify(scope)
            if found.route.verb:
                client.require(found.type, found.route.verb)
            raw = await read_body(headers, receive, self._site.fhir.max_body_bytes)
            request = self._request(scope, headers, found, client, raw)
            answer = await self._act(request, found)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told, and nothing ends
            answer = await self._refuse(error, request)
        if found.route.is_public:
            return answer
        views = request.views if request is not None else Views()
        try:
            await self._audit.note(found, answer, views, client=client.known_as, peer=_peer_of(scope))
        except Exception as error:  # noqa: BLE001 - what can't be noted is not shown, whatever was the matter
            answer = await self._refuse(error, request)
            await self._audit.note(found, answer, views, client=client.known_as, peer=_peer_of(scope))
        return answer

    async def _refuse(self, error: Exception, request: Request | None) -> Answer:
        if isinstance(error, Issues):
            if request is not None and request.interaction in WRITES:
                await self._keep(request, error)
            return _refusal(error)
        if isinstance(error, JournalError):
            log.error("journal unavailable", exc_info=error)
            return _refusal(refuse("transient", "nothing can be stored now; send it again", status=503))
        reference = secrets.token_hex(6)
        log.error("a request failed", request_id=reference, exc_info=error)
        return _refusal(refuse("exception", f"internal error {reference}; see the log", status=500))

    def _request(self, scope: Scope, headers: Mapping[str, str], found: Found, client: Client, raw: bytes) -> Request:
        try:
            query = parse_qsl(
                scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                max_num_fields=MAX_PARAMETERS,
                errors="strict",
            )
        except ValueError:
            raise refuse("value", "the query can't be read") from None
        return Request(
            method=scope["method"],
            interaction=found.route.interaction,
            type=found.type,
            id=found.id,
            version=found.version,
            query=query,
            headers=headers,
            body=raw,
            base=places_of(self._site, scope).base,
            client=client,
            peer=_peer_of(scope),
        )

    async def _act(self, request: Request, found: Found) -> Answer:
        negotiate.check_accept(request)
        if request.interaction in WRITES:
            negotiate.check_content(request)
            with answering(self._desk.meter, "fhir"):
                return await self._interactions[found.route.interaction](request)
        return await self._interactions[found.route.interaction](request)

    async def _keep(self, request: Request, fault: Issues) -> None:
        """What was refused is kept with its reason: `radbridge problems` shows it."""
        log.warning(
            "a resource was refused",
            interaction=request.interaction,
            resource_type=request.type,
            client=request.client.id,
            issue_code=fault.issues[0].code,
            status=fault.status,
        )
        try:
            await self._desk.reject(
                Rejected(
                    wire="fhir",
                    peer=request.peer,
                    reason=fault.reason,
                    detail=_describe(fault),
                    kind=f"{request.type or 'Bundle'}/{request.interaction}",
                    raw=request.body[:KEPT],
                    size=len(request.body),
                    ack=b"",
                )
            )
        except JournalError:
            log.exception("a refused body isn't kept")


def _peer_of(scope: Scope) -> str:
    return str((scope.get("client") or ("", 0))[0])


def _describe(fault: MessageFault) -> str:
    return f"{fault} ({fault.where})" if fault.where else str(fault)


def _refusal(fault: Issues, headers: Mapping[str, str] | None = None) -> Answer:
    told = headers_of(fault.status, fault.retry_after_s)
    closing = {"connection": "close"} if fault.status in (408, 413) else {}
    issues = fault.issues or (Issue(code="processing", diagnostics="refused"),)
    return Answer(status=fault.status, document=outcome_of(issues), headers={**told, **closing, **(headers or {})})


async def _send(send: Send, method: str, answer: Answer, more: Mapping[str, str]) -> None:
    body = _encode(answer.document)
    headers = {"content-length": str(len(body)), "x-content-type-options": "nosniff", **more, **answer.headers}
    if answer.document is not None:
        headers = {"content-type": negotiate.FHIR_JSON, "cache-control": "no-store", **headers}
    if answer.status in (204, 304):
        del headers["content-length"]
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _encode(document: Mapping[str, Any] | bytes | None) -> bytes:
    if document is None:
        return b""
    return document if isinstance(document, bytes) else write_json(document)
