"""What is fuzzed: everything that reads bytes from a wire. A target raises when a promise is broken, and only then.

Each takes any bytes. Faults that the reader documents are its answer to them; whatever else comes out is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from functools import cache

from radbridge.config import Dicom, Hl7v2, Site
from radbridge.errors import MessageFault
from radbridge.wire import Received
from radbridge_adapters.dicom.encoding.header import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import wrap_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.reader import HeaderReader
from radbridge_adapters.dicom.incoming.mapping import read_key, read_told
from radbridge_adapters.dicom.incoming.translate import Translator as DicomTranslator
from radbridge_adapters.fhir.route import Router
from radbridge_adapters.fhir.transaction import plan
from radbridge_adapters.fhircast.message import parse_event
from radbridge_adapters.fhircast.reading import make_snapshot, reading
from radbridge_adapters.hl7v2 import files
from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.ack import AckWriter
from radbridge_adapters.hl7v2.batch import is_batch, read_batch
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.framing import Decoder, Frame
from radbridge_adapters.hl7v2.reception import Reception
from radbridge_adapters.hl7v2.translate import Translator
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.snapshot import Snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator
from radbridge_adapters.resources.validate import validate
from tests.fuzz.seeds import SEEDS

MAX_BLOCK = 4096
"""Of the MLLP decoder here: small, so that inputs reach the limit."""
LOOKBACK = 3
MAX_HEADER = 64 * 1024
SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, "1.2.840.10008.1.2.1.99")
BASE = "http://fuzz/fhir/"


def fuzz_mllp(data: bytes) -> None:
    """However a stream is cut, the same blocks come out of it, and no more is held than is allowed."""
    step = data[0] % 7 + 1 if data else 1
    whole, cut = Decoder(MAX_BLOCK), Decoder(MAX_BLOCK)
    at_once = whole.feed(data) + whole.close()
    piece_by_piece = []
    for n in range(0, len(data), step):
        piece_by_piece += cut.feed(data[n : n + step])
        assert cut.held <= 2 * MAX_BLOCK + step + LOOKBACK
    piece_by_piece += cut.close()
    assert at_once == piece_by_piece
    assert whole.skipped == cut.skipped


@cache
def _hl7v2() -> tuple[Reception, Translator]:
    settings = Hl7v2()
    places = AccessionPlaces(
        places=parse_places(settings.accession_from), issuer=settings.issuer, issuers=settings.issuers
    )
    writer = AckWriter(settings.application, settings.facility)
    return Reception(writer, places, settings.default_charset), Translator(settings, places)


def fuzz_hl7v2(data: bytes) -> None:
    """Each block is judged and answered, and what was acknowledged is either translated or a fault."""
    reception, translate = _hl7v2()
    header, judged = reception.judge(Frame(payload=data), "peer")
    if judged.ack:
        msa = Message(judged.ack.decode()).first("MSA")
        assert msa is not None
        # One written with other delimiters is escaped for ours; control characters have no place in a message.
        sent = "".join(c for c in header.control_id if c >= " " and c != "\x7f")
        assert msa.raw(2).strip() == sent.strip() or not header.standard_delimiters
    if isinstance(judged, Received):
        with suppress(MessageFault):
            translate(judged.raw)


def fuzz_batch(data: bytes) -> None:
    """A batch is taken apart, or refused; no byte of a message is in two."""
    is_batch(data)
    try:
        read = read_batch(data, at_most=50)
    except MessageFault:
        return
    messages = [m for batch in read.batches for m in batch.messages]
    assert len(messages) <= 50
    assert sum(map(len, messages)) <= len(data) + len(messages)
    for _ in files.split_messages(data):
        pass


@cache
def _fhir() -> SnapshotTranslator:
    return SnapshotTranslator.of(Site())


def fuzz_fhir(data: bytes) -> None:
    """A body is an R4 resource or is refused; a Bundle is planned or refused; any snapshot is translated or a fault."""
    with suppress(MessageFault):
        document = read_json(data)
        assert read_json(write_json(document)) == document
        with suppress(MessageFault):
            _fhir()(data)
        validate(document)
        _fhir().read(Snapshot(document))
        if document["resourceType"] == "Bundle":
            plan(document, BASE, Router())


def fuzz_fhircast(data: bytes) -> None:
    """A frame is an event or is refused, and its report is read or is a fault."""
    with suppress(MessageFault):
        event = parse_event(data)
        again = parse_event(write_json(event.write(event.topic)))
        assert (again.id, again.name, again.context) == (event.id, event.name, event.context)
        _, anchor = event.anchor
        for fhir in ("R4", "R5"):
            with suppress(MessageFault):
                snapshot = make_snapshot(anchor, event.context, (), fhir)
                with reading():
                    _fhir().read(snapshot)


@cache
def _dicom() -> tuple[Dicom, DicomTranslator]:
    settings = Dicom()
    return settings, DicomTranslator(settings, UTC)


def fuzz_dicom(data: bytes) -> None:
    """A data set is read within its bounds, the same however it is cut; what is kept is mapped, or is a fault."""
    if not data:
        return
    syntax, step = SYNTAXES[data[0] % len(SYNTAXES)], data[0] // len(SYNTAXES) + 1
    whole, cut = _read(data[1:], syntax, len(data)), _read(data[1:], syntax, step)
    assert whole == cut
    if whole is None:
        return
    settings, translate = _dicom()
    elements, kept = whole
    try:
        dataset = read_dataset(elements, kept)
        read_key(dataset, settings)
        read_told(dataset, "images", default_charset=settings.default_charset)
        for sop_class in ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.3.1.2.3.3"):
            translate(wrap_part10(elements, kept, sop_class, "1.2.3"))
    except MessageFault:
        pass


def _read(data: bytes, syntax: str, step: int) -> tuple[bytes, str] | None:
    reader = HeaderReader(syntax, max_header_bytes=MAX_HEADER)
    try:
        for n in range(0, len(data), step):
            reader.feed(data[n : n + step])
            assert reader.held <= 3 * MAX_HEADER
        header = reader.end()
    except MessageFault:
        reader.partial()
        return None
    return header.elements, header.syntax


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A reader under fuzz, and bytes that it likes."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


TARGETS: Mapping[str, Target] = {
    name: Target(run=run, seeds=SEEDS[name]())
    for name, run in {
        "mllp": fuzz_mllp,
        "hl7v2": fuzz_hl7v2,
        "batch": fuzz_batch,
        "fhir": fuzz_fhir,
        "fhircast": fuzz_fhircast,
        "dicom": fuzz_dicom,
    }.items()
}
