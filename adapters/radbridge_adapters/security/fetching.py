"""One small JSON document from a configured place: no redirect, no proxy, one deadline, a limit on its size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import orjson

MAX_BYTES: Final = 65536
TIMEOUT_S: Final = 5.0


class Unreadable(ValueError):
    """What came is no JSON, or too much of it. The message quotes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """An answer, whatever its status."""

    status: int
    document: Any = field(repr=False)

    @property
    def is_ok(self) -> bool:
        """Status 200."""
        return self.status == httpx.codes.OK


async def fetch(
    url: str,
    context: ssl.SSLContext,
    *,
    form: Mapping[str, str] | None = None,
    basic: tuple[str, str] | None = None,
) -> Fetched:
    """GET, or with a `form` POST; `basic` are user and password. Raises httpx.HTTPError, TimeoutError, Unreadable."""
    headers = {"accept": "application/json"}
    content = None
    if form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
        content = urlencode(form).encode()
    async with (
        asyncio.timeout(TIMEOUT_S),  # httpx's own starts anew with every byte
        httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, verify=context) as http,
        http.stream(
            "GET" if form is None else "POST",
            url,
            headers=headers,
            content=content,
            auth=httpx.BasicAuth(*basic) if basic else None,
        ) as answer,
    ):
        raw = b""
        async for piece in answer.aiter_bytes():
            raw += piece
            if len(raw) > MAX_BYTES:
                raise Unreadable("an answer larger than 64 KiB")
    try:
        return Fetched(status=answer.status_code, document=orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise Unreadable("no JSON") from None
