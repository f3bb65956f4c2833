"""The SCPs that `dicom_storage.py` measures beside RadBridge, and what it sends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, EnhancedCTImageStorage

from tests.support.dcmtk import NO_NAGLE, needs
from tests.support.dicom_scu import image, save
from tests.support.gateway import free_port

AE_TITLE = "RADBRIDGE"
_UID = "1.2.826.0.1.3680043.8.498.7{set:09d}"
_PIECE = 4 * 2**20


def make_set(folder: Path, number: int, *, count: int, modality: str, side: int, lanes: int) -> list[Path]:
    """`count` objects of a study of its own, as files in so many folders: what one run sends, over so many lanes."""
    study = _UID.format(set=number)
    first = f"{study}.2.10000"
    sop_class = CTImageStorage if modality == "CT" else ComputedRadiographyImageStorage
    pixels = os.urandom(side * side * 2)
    dataset = image(
        f"B{number:08d}",
        study=study,
        sop_class=sop_class,
        SOPInstanceUID=first,
        Modality=modality,
        Rows=side,
        Columns=side,
        PixelData=pixels,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        PixelSpacing=[1, 1],
    )
    template = save(dataset, folder / "template.dcm").read_bytes()
    lanes_folders = [folder / f"{number}-{lane}" for lane in range(lanes)]
    for lane in lanes_folders:
        lane.mkdir()
    for n in range(count):
        raw = template.replace(first.encode(), f"{study}.2.{10000 + n}".encode())
        (lanes_folders[n % lanes] / f"{n:04d}.dcm").write_bytes(raw)
    return lanes_folders


def make_huge(folder: Path, number: int, *, size: int) -> Path:
    """One enhanced multi-frame object of about `size` bytes."""
    side = 512
    frames = size // (side * side * 2)
    dataset = image(
        f"B{number:08d}",
        study=_UID.format(set=number),
        sop_class=EnhancedCTImageStorage,
        Rows=side,
        Columns=side,
        NumberOfFrames=frames,
        PixelData=b"",
    )
    made = folder / f"{number}-0"
    made.mkdir()
    path = save(dataset, made / "huge.dcm")
    length = frames * side * side * 2
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)  # the length of the pixels, which were none
        file.write(length.to_bytes(4, "little"))
        _write_pixels(file, length)
    return made


def _write_pixels(file: BinaryIO, length: int) -> None:
    piece = os.urandom(_PIECE)
    while length > 0:
        length -= file.write(piece[: min(length, _PIECE)])


def send(port: int, folders: list[Path]) -> float:
    """Send each folder over an association of its own, all at once, by `dcmsend`; seconds until the last has ended."""
    command = [needs("dcmsend"), "-q", "-nuc", "--max-pdu", "131072", "-aet", "BENCH", "-aec", AE_TITLE]
    began = time.perf_counter()
    senders = [
        subprocess.Popen([*command, "127.0.0.1", str(port), "+sd", str(folder)], env=os.environ | NO_NAGLE)
        for folder in folders
    ]
    statuses = [sender.wait() for sender in senders]
    if any(statuses):
        raise RuntimeError(f"dcmsend ended with {statuses}")
    return time.perf_counter() - began


@contextmanager
def _running(command: list[str], port: int, **more: str) -> Iterator[int]:
    with subprocess.Popen(command, env=os.environ | NO_NAGLE | more, stdout=subprocess.DEVNULL) as process:
        try:
            _await_echo(port)
            yield process.pid
        finally:
            process.terminate()


def _await_echo(port: int) -> None:
    echo = [needs("echoscu"), "-q", "-aet", "BENCH", "-aec", AE_TITLE, "127.0.0.1", str(port)]
    end = time.monotonic() + 60
    while subprocess.run(echo, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        if time.monotonic() > end:
            raise TimeoutError("no answer to C-ECHO")
        time.sleep(0.1)


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[int, int]]:
    """Orthanc with its usual settings, which fsync its database; port and process id."""
    port = free_port()
    folder.mkdir()
    settings = {
        "StorageDirectory": str(folder),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "HttpPort": free_port(),
        "RemoteAccessAllowed": False,
        "DicomCheckCalledAet": True,
        "DicomModalities": {"bench": ["BENCH", "127.0.0.1", 1]},
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowStore": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _running([needs("Orthanc"), "--logfile=/dev/null", str(folder / "orthanc.json")], port) as pid:
        yield port, pid


@contextmanager
def storescp(folder: Path) -> Iterator[tuple[int, int]]:
    """DCMTK's, a process for each association, writing files without fsync."""
    port = free_port()
    folder.mkdir()
    command = [
        needs("storescp"),
        "-q",
        "--fork",
        "--max-pdu",
        "131072",
        "-aet",
        AE_TITLE,
        "-od",
        str(folder),
        str(port),
    ]
    with _running(command, port) as pid:
        yield port, pid


@contextmanager
def pynetdicom(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """`files`: writes each object without fsync; `nothing`: keeps none of it."""
    port = free_port()
    folder.mkdir()
    command = [sys.executable, "-m", "tests.bench.dicom_peers", name, str(port), str(folder)]
    path = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
    with _running(command, port, PYTHONPATH=path) as pid:
        yield port, pid


def serve(name: str, port: int, folder: Path) -> None:
    """A bare pynetdicom SCP, as its own examples have it."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
        return 0

    def drop(_event: evt.Event) -> int:
        return 0

    ae = AE(AE_TITLE)
    ae.maximum_pdu_size = 131072
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    handler = keep if name == "files" else drop
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, handler)])


def rss(pid: int, field: str) -> float:
    """MiB of `VmRSS` or `VmHWM` of a process and its children."""
    total = 0.0
    for one in (pid, *_children(pid)):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                total += int(line.split()[1]) / 1024
    return total


def forget_peak(pid: int) -> None:
    """Begin `VmHWM` anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
