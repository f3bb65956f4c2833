"""A model server over HTTP that drafts the first sentence of the findings: Ray takes half a minute to start."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.http_peer import Asked, HttpPeer, answer, run_peer


@asynccontextmanager
async def drafting(context: ssl.SSLContext | None = None) -> AsyncIterator[HttpPeer]:
    """A server at `url` that is ready and drafts whatever it is asked; with a context, by TLS."""

    async def draft(asked: Asked, writer: asyncio.StreamWriter) -> None:
        made = {
            "id": asked.body["id"],
            "draft": asked.body["findings"].split(".")[0] + ".",
            "lora": "base",
            "model": "stub",
            "base_digest": "0" * 12,
            "prompt_version": "p1",
            "stage": "coarse",
            "ms": 1.0,
        }
        await answer(200, made)(asked, writer)

    replies = {
        "/readyz": answer(200, {"ready": True}),
        "/v1/prefetch": answer(202, {"lora": "base", "resident": True}),
        "/v1/drafts": draft,
    }
    async with run_peer(replies, context=context) as peer:
        yield peer
