"""DCMTK and other DICOM programs from Debian: run once, or as servers for the time of a test."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NoReturn

import pytest
from pydicom.dataset import Dataset

from tests.support.dicom_scu import save
from tests.support.gateway import free_port

INSTALL = "apt-get install --no-install-recommends dcmtk dicom3tools orthanc orthanc-dicomweb"
_PLACES = os.pathsep.join(("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"))
_START_S = 120.0
WAIT_S = "120"
"""For an association: of themselves they give up after 30 s."""
NO_NAGLE = {"TCP_NODELAY": "1"}
"""DCMTK's own switch: without it every small PDU waits for a delayed ACK."""


def needs(name: str) -> str:
    """The path of a program from Debian. Where it is absent the test is skipped, but under CI it fails."""
    found = shutil.which(name, path=_PLACES)  # not the whole PATH: pynetdicom installs a storescu of its own
    if found is None:
        absent(name)
    return found


def absent(what: str) -> NoReturn:
    """Skip the test that wants a package of Debian's; under CI fail it."""
    missing = f"{what} isn't installed: {INSTALL}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a program ended, and all that it printed."""

    status: int
    output: str


async def run(name: str, *args: str | Path, within_s: float = 120.0) -> Outcome:
    """Run a program of Debian's to its end."""
    process = await asyncio.create_subprocess_exec(
        needs(name),
        *map(str, args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | NO_NAGLE,
    )
    try:
        async with asyncio.timeout(within_s):
            out, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Outcome(status=process.returncode, output=out.decode(errors="replace"))


@contextmanager
def files(datasets: Sequence[Dataset]) -> Iterator[list[Path]]:
    """The data sets as DICOM files, for the time of a block."""
    with TemporaryDirectory() as folder:
        yield [save(dataset, Path(folder, f"{number}.dcm")) for number, dataset in enumerate(datasets)]


async def storescu(
    port: int, *datasets: Dataset, options: Sequence[str | Path] = (), called: str = "RADBRIDGE"
) -> Outcome:
    """Send by `storescu`, one association."""
    with files(datasets) as paths:
        return await run("storescu", "-v", "-ta", WAIT_S, *options, "-aec", called, "127.0.0.1", str(port), *paths)


async def dcmsend(port: int, *datasets: Dataset, options: Sequence[str] = (), called: str = "RADBRIDGE") -> Outcome:
    """Send by `dcmsend`, which proposes what the files hold."""
    with files(datasets) as paths:
        return await run(
            "dcmsend", "-v", "-nuc", "-ta", WAIT_S, *options, "-aec", called, "127.0.0.1", str(port), *paths
        )


async def echoscu(port: int, *options: str | Path, called: str = "RADBRIDGE") -> Outcome:
    """One C-ECHO."""
    return await run("echoscu", "-v", "-ta", WAIT_S, *options, "-aec", called, "127.0.0.1", str(port))


@asynccontextmanager
async def server(name: str, *args: str | Path, port: int, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that listens on `port`, with what it says in `log`; ended with the block."""
    with log.open("wb") as out:
        process = await _spawn(name, args, out)
        try:
            await until_open(port, process, log)
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _spawn(name: str, args: Sequence[str | Path], out: IO[bytes]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        needs(name),
        *map(str, args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env=os.environ | NO_NAGLE,
    )


def said(log: Path) -> str:
    """What a program wrote into its log."""
    return log.read_text(errors="replace")


async def until_open(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Return when somebody listens there. Raises AssertionError with the log of a program that ended instead."""
    async with asyncio.timeout(_START_S):
        while True:
            assert process.returncode is None, said(log)
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


@asynccontextmanager
async def storescp(folder: Path, *options: str | Path, ae_title: str = "STORESCP") -> AsyncIterator[int]:
    """A PACS that writes what it gets into `folder`; its port."""
    port = free_port()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    args = ("-v", "-aet", ae_title, "-od", folder, *options, str(port))
    async with server("storescp", *args, port=port, log=folder.with_suffix(".log")):
        yield port


@asynccontextmanager
async def wlmscpfs(
    folder: Path, items: Sequence[Dataset], *options: str, ae_title: str = "WORKLIST"
) -> AsyncIterator[int]:
    """A modality worklist with these items; its port. It answers to `ae_title`, which is a folder of its own."""
    port = free_port()
    lists = folder / ae_title
    lists.mkdir(parents=True)
    (lists / "lockfile").touch()
    for number, item in enumerate(items):
        save(item, lists / f"{number}.wl")
    async with server("wlmscpfs", "-v", "-dfp", folder, *options, str(port), port=port, log=folder / "wlmscpfs.log"):
        yield port
