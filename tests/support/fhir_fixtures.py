"""Fixtures of the FHIR server: a whole gateway and a client on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from radbridge_adapters import fhir
from tests.support.fhir import JSON
from tests.support.live import LiveGateway, live, make_site


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[LiveGateway]:
    """A gateway with the FHIR wire, open on loopback, pages of three."""
    async with live(make_site(tmp_path, fhir={"page_size": 3}), fhir.wire) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: LiveGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that gateway's FHIR server."""
    # The server closes what is idle for 5 s: on a machine that stood still, just when the next request goes there.
    anew = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=JSON, timeout=60, limits=anew) as client:
        yield client
