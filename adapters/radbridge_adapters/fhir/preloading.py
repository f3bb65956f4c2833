"""Has the FHIR models imported before the first request needs them."""

from __future__ import annotations

import asyncio

from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.models import preload

_BESIDE = ("Bundle", "OperationOutcome", "Parameters")


class Preloading:
    """Imports them in a thread, once; a `radbridge.wire.Worker`."""

    name = "fhir models"

    async def run(self) -> None:
        """Import, then rest until cancelled."""
        await asyncio.to_thread(preload, (*TYPES, *_BESIDE))
        await asyncio.Event().wait()
