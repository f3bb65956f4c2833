"""A gateway with the FHIRcast wire in a process of its own, to be killed: `python -m tests.support.fhircast_process`.

Its model is the shipped fake. Prints its base URL once it is ready.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from radbridge.testing import FakeModel
from radbridge_adapters import fhircast
from tests.support.live import live, make_site


async def main(folder: Path, delay_s: float) -> None:
    """Serve until killed."""
    async with live(make_site(folder), fhircast.wire, model=FakeModel(delay_s=delay_s)) as gateway:
        sys.stdout.write(f"{gateway.base}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
