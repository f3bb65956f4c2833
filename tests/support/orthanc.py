"""Orthanc, the PACS of these tests, with its DICOMweb plugin; everything it keeps is gone with the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset

from tests.support import dcmtk
from tests.support.gateway import free_port

WAIT_S = 120.0
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, kw_only=True, slots=True)
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    port: int
    """DICOM."""
    http_port: int
    folder: Path

    @property
    def base(self) -> str:
        """Of its REST interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Of its DICOMweb services."""
        return f"{self.base}/dicom-web"

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """Ask its REST interface; the JSON it answers. Raises httpx.HTTPStatusError."""
        async with httpx.AsyncClient(base_url=self.base, timeout=WAIT_S) as client:
            answer = await client.request(method, path, **more)
        answer.raise_for_status()
        return answer.json()

    async def add(self, dataset: Dataset) -> str:
        """Put an object there; Orthanc's own id of it."""
        with dcmtk.files([dataset]) as [path]:
            made = await self.call("POST", "/instances", content=path.read_bytes())
        return str(made["ID"])

    async def send(self, to: str, *ids: str) -> Mapping[str, Any]:
        """Have it C-STORE objects to the modality `to`."""
        sent: Mapping[str, Any] = await self.call("POST", f"/modalities/{to}/store", json=list(ids))
        return sent

    async def find(self, level: str, **query: str) -> list[str]:
        """Orthanc's ids of what matches: `await orthanc.find("Instance", AccessionNumber="A1")`."""
        found: list[str] = await self.call("POST", "/tools/find", json={"Level": level, "Query": query})
        return found

    async def file(self, id: str) -> bytes:
        """An object as a DICOM file."""
        async with httpx.AsyncClient(base_url=self.base, timeout=WAIT_S) as client:
            answer = await client.get(f"/instances/{id}/file")
        answer.raise_for_status()
        return answer.content


@asynccontextmanager
async def orthanc(
    folder: Path, *, modalities: Mapping[str, tuple[str, int]] | None = None, ae_title: str = "ORTHANC", **more: Any
) -> AsyncIterator[Orthanc]:
    """An Orthanc that keeps its files in `folder` and knows these modalities: `{"RADBRIDGE": ("RADBRIDGE", port)}`.

    It listens for DICOM on all addresses, having no setting for that; so it takes in from those modalities alone, by
    title and address, and only what names it. `more` are settings of its own.
    """
    made = Orthanc(ae_title=ae_title, port=free_port(), http_port=free_port(), folder=folder)
    known = {
        name: {"AET": title, "Host": "127.0.0.1", "Port": port} for name, (title, port) in (modalities or {}).items()
    }
    settings = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": ae_title,
        "DicomPort": made.port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowStore": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": known,
        "HttpPort": made.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(DICOMWEB)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    } | more
    config = _write(folder, settings)
    async with dcmtk.server("Orthanc", config, port=made.http_port, log=folder / "orthanc.log") as process:
        await dcmtk.until_open(made.port, process, folder / "orthanc.log")
        await _until_it_answers(made)
        yield made


def _write(folder: Path, settings: Mapping[str, Any]) -> Path:
    if not DICOMWEB.exists():
        dcmtk.absent("Orthanc's DICOMweb plugin")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    return config


async def _until_it_answers(made: Orthanc) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await made.call("GET", "/system")
            except httpx.HTTPError:
                await asyncio.sleep(0.02)
            else:
                return
