"""Clients' keys that are fetched: kept a while, asked for rarely, and never taken from anything too large or broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import pytest

from radbridge_adapters.security import jwks
from radbridge_adapters.security.jwks import KeySource
from tests.support.smart import es384


@dataclass
class Publisher:
    """A place with keys: what it says, and how often it was asked."""

    body: bytes
    status: int = 200
    asked: int = 0
    url: str = ""


@asynccontextmanager
async def publishing(body: bytes) -> AsyncIterator[Publisher]:
    place = Publisher(body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            place.asked += 1
            head = f"HTTP/1.1 {place.status} x\r\ncontent-length: {len(place.body)}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + place.body)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        place.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
        yield place


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radbridge_adapters.security.fetching.TIMEOUT_S", 60.0)


KEYS = orjson.dumps(es384().jwks)


async def test_keys_are_fetched_once() -> None:
    """Many assertions, at once too, one fetch; an issuer that nobody named costs none."""
    async with publishing(KEYS) as place:
        source = KeySource({}, {"pacs": place.url})
        found = await asyncio.gather(*(source.find("pacs", "k1") for _ in range(20)))
        assert all(len(keys) == 1 for keys in found)
        assert await source.find("stranger", "k1") == ()
    assert place.asked == 1


async def test_made_up_key_ids_cause_no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown kid is looked for again, but not with every assertion."""
    monkeypatch.setattr(jwks, "PAUSE_S", 600.0)
    async with publishing(KEYS) as place:
        source = KeySource({}, {"pacs": place.url})
        for number in range(20):
            assert list(await source.find("pacs", f"x{number}")) == []
    assert place.asked == 1


async def test_a_new_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that changed its key is known by it after the pause; a key that it took out is gone."""
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    async with publishing(KEYS) as place:
        source = KeySource({}, {"pacs": place.url})
        assert await source.find("pacs", "k1")
        place.body = KEYS.replace(b'"k1"', b'"k2"')
        assert await source.find("pacs", "k2")
        assert not await source.find("pacs", "k1")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 200), (b"not json", 200), (KEYS, 500), (b'{"keys":[' + b" " * 70000 + b"]}", 200), (b'{"keys":{}}', 200)],
    ids=["list", "text", "error", "large", "shape"],
)
async def test_what_is_no_set_leaves_the_old_keys(monkeypatch: pytest.MonkeyPatch, body: bytes, status: int) -> None:
    """A place that breaks doesn't lock its client out at once, and brings nothing in."""
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    async with publishing(KEYS) as place:
        source = KeySource({}, {"pacs": place.url})
        assert await source.find("pacs", "k1")
        place.body, place.status = body, status
        assert not await source.find("pacs", "k2")
        assert await source.find("pacs", "k1")
        assert place.asked >= 2
