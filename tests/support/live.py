"""A whole gateway in the test's own event loop, on real sockets; only the model is the shipped fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from radbridge.case import Case, CaseKey
from radbridge.config import Site
from radbridge.draft import StoredDraft
from radbridge.gateway import Gateway
from radbridge.journal import cases, drafts
from radbridge.testing import FakeModel
from radbridge.wire import Desk, Wire
from radbridge_adapters import hl7v2
from tests.support.store import store_url

WireFactory = Callable[[Site, Desk], Wire]


class LiveGateway(Gateway):
    """A gateway whose model server is a `FakeModel`."""

    def __init__(self, site: Site, model: FakeModel) -> None:
        super().__init__(site)
        self.model = model

    async def _draft(self) -> None:
        await self.model_keeper.draft_with(self.model)

    @property
    def base(self) -> str:
        """`http://host:port`."""
        return f"http://{self.addresses['http']}"

    def case(self, accession: str, issuer: str = "") -> Case | None:
        """The case as the journal has it now."""
        return self.journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession, issuer=issuer)))

    def drafts(self, accession: str, issuer: str = "") -> list[StoredDraft]:
        """Every draft of the case, oldest first."""
        key = CaseKey(accession=accession, issuer=issuer)
        return self.journal.read_now(lambda conn: drafts.of_case(conn, key))

    async def until(self, condition: Callable[[], object], *, within_s: float = 60.0) -> None:
        """Wait for the condition."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)


def make_site(folder: Path, **tables: dict[str, Any]) -> Site:
    """A site in `folder` on free ports, with these tables of `site.toml` over the defaults."""
    defaults: dict[str, dict[str, Any]] = {
        "store": {"url": store_url(folder)},
        "hl7v2": {"listen": "127.0.0.1:0"},
        "dicom": {"listen": "127.0.0.1:0"},
        "http": {"listen": "127.0.0.1:0"},
        "model": {"settle_s": 0.02, "deadline_s": 60.0},
    }
    merged: dict[str, Any] = {name: defaults.get(name, {}) | tables.get(name, {}) for name in defaults | tables}
    return Site(**merged)


@asynccontextmanager
async def live(site: Site, *factories: WireFactory, model: FakeModel | None = None) -> AsyncIterator[LiveGateway]:
    """The gateway of `site`, ready and at work, with HL7 v2 and the wires of `factories`."""

    def make_wires(site: Site, desk: Desk) -> list[Wire]:
        return [make(site, desk) for make in (hl7v2.wire, *factories)]

    with patch("radbridge.gateway.gateway.make_wires", make_wires):
        async with LiveGateway(site, model or FakeModel()) as gateway:
            work = asyncio.create_task(gateway.serve())
            try:
                while not all((await gateway.readiness()).values()):
                    await asyncio.sleep(0.005)
                yield gateway
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
