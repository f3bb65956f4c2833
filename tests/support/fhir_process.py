"""A gateway with the FHIR wire in a process of its own, to be killed: `python -m tests.support.fhir_process`.

Its model is the shipped fake; drafts go to the hospital's server at the URL given. Prints its base URL once ready.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from radbridge_adapters import fhir
from tests.support.live import live, make_site


async def main(folder: Path, hospital: str) -> None:
    """Serve until killed."""
    site = make_site(folder, fhir={"destinations": [{"name": "hospital", "url": hospital}]})
    async with live(site, fhir.wire) as gateway:
        sys.stdout.write(f"{gateway.base}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


@asynccontextmanager
async def running(folder: Path, hospital: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Its base URL and its process, which is killed at the end."""
    command = (sys.executable, "-m", "tests.support.fhir_process", str(folder), hospital)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        base = ""
        async with asyncio.timeout(60):
            while not base.startswith("http"):
                base = (await process.stdout.readline()).decode().strip()
        yield base, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
