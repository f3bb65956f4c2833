"""The client of other people's FHIR servers: Medplum's server is one, small servers that misbehave are the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from radbridge.errors import ConfigError, DeliveryFailed, DeliveryRefused
from radbridge_adapters.rest import FhirClient
from radbridge_adapters.rest.client import MAX_ANSWER_BYTES
from tests.support.gateway import free_port
from tests.support.limits import limits_of
from tests.support.peers import fhir_server

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "900001"}]}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may be slow to let us in."""
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)


@asynccontextmanager
async def answering(raw: bytes, *, then_close: bool = True) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that says `raw` to everybody: its URL, and the heads that it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            # Who hangs up on a body that is on its way resets the connection, and its answer may be lost.
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0))
            heads.append(head)
            writer.write(raw)
            if not then_close:
                await reader.read()  # until the other side hangs up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir", heads


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[FhirClient]:
    client = FhirClient("pacs", url, timeout_s=60.0)
    try:
        yield client
    finally:
        await client.close()


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_it_creates_searches_updates_and_reads() -> None:
    """Against a server that nobody here wrote: create, search, update with If-Match, read; a stale one fails."""
    async with fhir_server() as url, client_of(url) as client:
        made = client.demand(await client.send("POST", "Patient", document=PATIENT))
        assert [p["id"] for p in await client.search("Patient", [("identifier", "urn:mrn|900001")])] == [
            made.document["id"]
        ]
        path, changed = f"Patient/{made.document['id']}", made.document | {"active": True}
        updated = await client.send("PUT", path, document=changed, headers={"if-match": made.etag})
        assert updated.ok
        assert updated.etag != made.etag
        assert (await client.read(f"{url}/{path}")).document["active"] is True
        with pytest.raises(DeliveryFailed, match="412"):
            client.demand(await client.send("PUT", path, document=PATIENT | changed, headers={"if-match": made.etag}))


@pytest.mark.parametrize(
    ("status", "error"),
    [("400 no", DeliveryRefused), ("422 no", DeliveryRefused), ("302 elsewhere", DeliveryRefused)]
    + [(f"{code} later", DeliveryFailed) for code in (401, 408, 409, 412, 429, 500, 503)],
)
async def test_a_status_says_whether_to_try_again(status: str, error: type[Exception]) -> None:
    """What may be otherwise next time is tried again; the rest is refused, and a redirect is never followed."""
    said = http(status, "location: http://127.0.0.1:1/", "retry-after: 7")
    async with answering(said) as (url, _), client_of(url) as client:
        reply = await client.send("GET", "metadata")
        assert reply.retry_after_s == 7
        with pytest.raises(error):
            client.demand(reply)


async def test_no_answer_and_too_much_of_one_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there, a server that says nothing, and one that never stops each fail, in bounded time and size."""
    async with client_of(f"http://127.0.0.1:{free_port()}/fhir") as client:
        with pytest.raises(DeliveryFailed) as caught:
            await client.send("GET", "metadata")
        assert not caught.value.sent
    limits = limits_of("radbridge_adapters.rest.client", monkeypatch)
    async with answering(b"", then_close=False) as (url, heads), client_of(url) as client:
        asking = asyncio.create_task(client.send("GET", "metadata"))
        while not heads:
            await asyncio.sleep(0.001)
        limits.end()
        with pytest.raises(DeliveryFailed, match="no answer"):
            await asking
    async with answering(http("200 OK", body=b" " * (MAX_ANSWER_BYTES + 1))) as (url, _), client_of(url) as client:
        with pytest.raises(DeliveryFailed, match="larger"):
            await client.send("GET", "metadata")


@pytest.mark.parametrize("reference", ["http://127.0.0.1:1/Patient/1", "/admin", "Patient/../../admin"])
async def test_a_reference_out_of_the_server_is_not_followed(reference: str) -> None:
    """No reference in a message makes us call another server."""
    async with answering(http("200 OK")) as (url, heads), client_of(url) as client:
        with pytest.raises(DeliveryRefused):
            await client.read(reference)
    assert heads == []


async def test_a_search_names_nobody_in_its_url() -> None:
    """What is searched for travels in the body."""
    async with answering(http("200 OK")) as (url, heads), client_of(url) as client:
        await client.search("Patient", [("identifier", "urn:mrn|900001")])
    assert heads[0].startswith(b"POST /fhir/Patient/_search ")
    assert b"900001" not in heads[0]


@pytest.mark.parametrize("url", ["ftp://x/fhir", "nonsense", "http://", "http://x/fhir?token=1"])
def test_a_url_that_cannot_be_one_is_a_config_error(url: str) -> None:
    """It is told at the start, by the destination's name."""
    with pytest.raises(ConfigError, match="pacs"):
        FhirClient("pacs", url)
