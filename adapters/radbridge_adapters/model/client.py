"""The model server's client: `POST /v1/drafts` and `/v1/prefetch` over keep-alive HTTP/1.1."""

from __future__ import annotations

import math
import re
from contextlib import suppress

import httpx
from pydantic import ValidationError

from radbridge.config.tls import Trust
from radbridge.contract import (
    OWNER_HEADER,
    PREFETCH,
    REQUEST,
    RESPONSE,
    DraftRequest,
    DraftResponse,
    PrefetchRequest,
)
from radbridge.errors import (
    ConfigError,
    DeadlinePassed,
    ModelError,
    ModelOverloaded,
    ModelUnavailable,
    Superseded,
)
from radbridge.registry import owner_of
from radbridge_adapters.security.tls import client_context

_CONNECT_S = 2.0
_KEEP_ALIVE_S = 30.0
"""Shorter than the server's 90 s, so that no request goes out on a connection that is being closed."""
_GRACE_S = 0.5
"""The server is asked to answer by the deadline; this is for the way back."""
_READY_S = 5.0
_PREFETCH_S = 2.0
_DRAFT_ID = re.compile(r"D[0-9a-f]{16}")
"""A draft's id as the gateway makes it. Other ids may be a site's own, even accession numbers, and stay in the body."""
_CONNECTIONS = 256
_SYSTEM = Trust()


class ModelClient:
    """Asks the model server at `url`; no answer takes longer than `timeout_s`. It never goes through a proxy.

    Raises ConfigError for a URL or a file of `trust` that can't be used.
    """

    def __init__(self, url: str, timeout_s: float, trust: Trust = _SYSTEM) -> None:
        self._timeout_s = timeout_s
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL:
            base = httpx.URL()
        if base.scheme not in {"http", "https"} or not base.host:
            raise ConfigError(["model.url: must be http://host:port or https://host:port"])
        self._http = httpx.AsyncClient(
            base_url=base,
            trust_env=False,
            verify=client_context("model", trust),
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S),
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
        )

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The draft for one request. Cancelling closes the connection.

        Raises DeadlinePassed, ModelOverloaded, ModelUnavailable, Superseded, or ModelError when the server refused the
        request.
        """
        deadline_s = math.inf if request.deadline_ms is None else request.deadline_ms / 1000
        answer = await self._post(
            "/v1/drafts",
            REQUEST.dump_json(request),
            headers=_routing(request.radiologist) | _tracing(request.id),
            allowed_s=min(self._timeout_s, deadline_s + _GRACE_S),
        )
        if answer.status_code != httpx.codes.OK:
            raise _error(answer, min(self._timeout_s, deadline_s))
        try:
            return RESPONSE.validate_json(answer.content)
        except ValidationError:
            raise ModelError("the answer is not a draft; does the model server have the same version?") from None

    async def prefetch(self, radiologist: str) -> None:
        """Say who will soon sign; the server loads their LoRA behind its answer. Raises ModelError within 2 s."""
        body = PREFETCH.dump_json(PrefetchRequest(radiologist=radiologist))
        answer = await self._post("/v1/prefetch", body, headers=_routing(radiologist), allowed_s=_PREFETCH_S)
        if not answer.is_success:
            raise _error(answer, _PREFETCH_S)

    async def _post(self, path: str, body: bytes, *, headers: dict[str, str], allowed_s: float) -> httpx.Response:
        try:
            return await self._http.post(
                path,
                content=body,
                headers={"content-type": "application/json"} | headers,
                timeout=httpx.Timeout(allowed_s, connect=min(_CONNECT_S, allowed_s)),
            )
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise ModelUnavailable from None
        except httpx.TimeoutException:
            raise DeadlinePassed(allowed_s) from None
        except httpx.TransportError as error:
            raise ModelUnavailable(f"the model server can't be reached ({type(error).__name__})") from None

    async def ready(self) -> bool:
        """Whether the model server says it can draft."""
        with suppress(httpx.TransportError):
            answer = await self._http.get("/readyz", timeout=_READY_S)
            return answer.status_code == httpx.codes.OK
        return False

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


def _routing(radiologist: str) -> dict[str, str]:
    """Whose LoRA will draft, so that a cluster sends the request to a replica that has it."""
    return {OWNER_HEADER: owner_of("rad", radiologist)} if radiologist else {}


def _tracing(draft_id: str) -> dict[str, str]:
    """The id that the log lines of both sides name."""
    return {"x-request-id": draft_id} if _DRAFT_ID.fullmatch(draft_id) else {}


def _error(answer: httpx.Response, deadline_s: float) -> ModelError:
    status = answer.status_code
    if status == httpx.codes.CONFLICT:
        return Superseded()
    if status == httpx.codes.GATEWAY_TIMEOUT:
        return DeadlinePassed(deadline_s)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return ModelOverloaded(_retry_after_s(answer))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ModelUnavailable(f"the model server answered HTTP {status}")
    return ModelError(f"the model server refused the request: HTTP {status}")


def _retry_after_s(answer: httpx.Response) -> float:
    with suppress(ValueError):
        return float(answer.headers.get("retry-after", ""))
    return 1.0
