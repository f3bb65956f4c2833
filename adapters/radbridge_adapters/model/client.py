"""The model server's client: `POST /v1/drafts` over keep-alive HTTP/1.1."""

from __future__ import annotations

import math
from contextlib import suppress

import httpx
from pydantic import ValidationError

from radbridge.contract import REQUEST, RESPONSE, DraftRequest, DraftResponse
from radbridge.errors import ConfigError, DeadlinePassed, ModelError, ModelOverloaded, ModelUnavailable

_CONNECT_S = 2.0
_KEEP_ALIVE_S = 30.0
"""Shorter than the server's 90 s, so that no request goes out on a connection that is being closed."""
_GRACE_S = 0.5
"""The server is asked to answer by the deadline; this is for the way back."""
_READY_S = 5.0
_CONNECTIONS = 256


class ModelClient:
    """Asks the model server at `url`; no answer takes longer than `timeout_s`. It never goes through a proxy.

    Raises ConfigError for a URL that can't be used.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
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
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S),
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
        )

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The draft for one request. Cancelling closes the connection.

        Raises DeadlinePassed, ModelOverloaded, ModelUnavailable, or ModelError when the server refused the request.
        """
        deadline_s = math.inf if request.deadline_ms is None else request.deadline_ms / 1000
        allowed_s = min(self._timeout_s, deadline_s + _GRACE_S)
        try:
            answer = await self._http.post(
                "/v1/drafts",
                content=REQUEST.dump_json(request),
                headers={"content-type": "application/json"},
                timeout=httpx.Timeout(allowed_s, connect=min(_CONNECT_S, allowed_s)),
            )
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise ModelUnavailable from None
        except httpx.TimeoutException:
            raise DeadlinePassed(allowed_s) from None
        except httpx.TransportError as error:
            raise ModelUnavailable(f"the model server can't be reached ({type(error).__name__})") from None
        if answer.status_code != httpx.codes.OK:
            raise _error(answer, min(self._timeout_s, deadline_s))
        try:
            return RESPONSE.validate_json(answer.content)
        except ValidationError:
            raise ModelError("the answer is not a draft; does the model server have the same version?") from None

    async def ready(self) -> bool:
        """Whether the model server says it can draft."""
        with suppress(httpx.TransportError):
            answer = await self._http.get("/readyz", timeout=_READY_S)
            return answer.status_code == httpx.codes.OK
        return False

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


def _error(answer: httpx.Response, deadline_s: float) -> ModelError:
    status = answer.status_code
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
