"""docs/reference/limits.md: every limit is what the page says, has a test, and none that a site can set is missing."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from radbridge.config import Site
from radbridge.errors import MessageFault
from radbridge_adapters.cdshooks.feedback import MAX_OUTCOMES, parse_feedback
from radbridge_adapters.dicom.network.association import Association, Closed
from radbridge_adapters.dicom.network.exchange import Rules
from radbridge_adapters.dicom.network.negotiate import Accepted, Context, Negotiator, Refused
from radbridge_adapters.fhir.search.query import MAX_TERMS, parse
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.names import Wanted
from radbridge_adapters.fhircast.subscriber import Limits, Subscriber
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.outcome import Issues
from tests.support.dicom_peer import associate_rq, message
from tests.support.fhircast import event, observation, put, update_context

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text()
ROWS = re.findall(r"^\| `([\w.]+)` \| ([\d.]+) \| [^|]+ \| `(\w+)\.(\w+)` \|$", PAGE, re.MULTILINE)
LIMITS = re.compile(
    r"(^|_)(max|burst|rate|queue)(_|$)|_(bytes|entries)$|^(idle|association|request|connect)_timeout_s$|^(idle|session)_s$"
)
"""Names of keys that bound what others may do."""
OURS = {
    "training": "how much is learned from, of our own",
    "memory": "how much is kept, of our own",
}
"""Tables whose keys bound our own work."""

FINER = frozenset(
    """
    cdshooks.finding._MAX_READS dicom.asking.enquirer.MOST_WAITING dicom.asking.priors_query.MOST_KEPT
    dicom.asking.priors_query.MOST_LOOKED_INTO dicom.asking.priors_query.MOST_SERIES
    dicom.asking.priors_query.MOST_STUDIES dicom.asking.web.MAX_ANSWER_BYTES dicom.asking.worklist.MOST_ITEMS
    dicom.encoding.bulk.MOST_OF_ONE dicom.encoding.raw.MAX_DEPTH dicom.encoding.values.MAX_ITEMS
    dicom.encoding.values._MOST_UID dicom.incoming.reception.MAX_REJECTED dicom.incoming.sr_about._MAX_TRACKING
    dicom.incoming.sr_amounts._MAX_UNIT_CHARS dicom.incoming.sr_codes.MAX_WORDS
    dicom.incoming.sr_source._MAX_CHARS dicom.incoming.sr_tree.MAX_TEXT_CHARS dicom.network.calling.MAX_DATASET
    dicom.network.calling.MAX_PDU dicom.network.connection._MOST_REPORTS dicom.network.negotiate._MAX_PDU_UNSAID
    dicom.writing.evidence.MOST_READ fhir.store.snapshots.MAX_NEIGHBOURS
    fhir.subscriptions.line.MAX_ANSWER_BYTES fhir.subscriptions.line.MAX_EVENTS fhircast.names._MOST_PATTERNS
    fhircast.publish._MOST_SENT fhircast.session.MOST_OPEN fhircast.signoff._MOST_RESULTS
    hl7v2.client._MAX_ANSWER_BYTES resources.json.MAX_MAGNITUDE resources.primitives.MAX_STRING
    resources.validate.MAX_ISSUES security.assertion.MAX_LIFE security.assertion._MAX_TEXT
    security.cipher.MOST_SEALS security.doorkeeper._MOST_HOSTS security.jwks._MAX_KEYS
    security.login._MOST_WAITING
    """.split()
)
"""Constants of the wires that need no row: parts of what a row bounds whole, and what we ask for or write ourselves."""


def keys(model: BaseModel, place: str = "") -> Iterator[str]:
    """Every key of the site's file that has a default, with its tables."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from keys(value, f"{place}{name}.")
        else:
            yield f"{place}{name}"


def value_of(name: str) -> float:
    """A key's default, or a constant."""
    found: Any = Site()
    parts = name.split(".")
    if not parts[0].startswith("radbridge"):
        for part in parts:
            found = getattr(found, part)
        return float(found)
    for end in range(len(parts) - 1, 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            default = getattr(found, "__dataclass_fields__", {}).get(part)
            found = default.default if default is not None else getattr(found, part)
        return float(found)
    raise AssertionError(name)


def test_the_page_is_read() -> None:
    """Every row of the page has the form that this test reads."""
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, re.MULTILINE)) > 40


@pytest.mark.parametrize(("name", "default", "file", "test"), ROWS, ids=[row[0] for row in ROWS])
def test_a_limit_is_what_the_page_says(name: str, default: str, file: str, test: str) -> None:
    """It has the value that the page names, and the test that the page names is there."""
    assert value_of(name) == float(default)
    (path,) = ROOT.glob(f"tests/*/{file}.py")
    assert re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE)


def test_no_limit_is_missing() -> None:
    """Each key by which a site bounds what others may do stands on the page."""
    bounding = {key for key in keys(Site()) if LIMITS.search(key.rsplit(".", 1)[-1]) and key.split(".")[0] not in OURS}
    assert "hl7v2.max_rate_per_s" in bounding
    assert bounding - {row[0] for row in ROWS} == set()


def test_no_constant_is_missing() -> None:
    """A wire's constant that is named like a limit stands on the page, or is known to need no row."""
    wires = ROOT / "adapters" / "radbridge_adapters"
    found = {
        ".".join((*file.relative_to(wires).with_suffix("").parts, name))
        for file in wires.rglob("*.py")
        for name in re.findall(r"^(_?(?:MAX|MOST)_\w+)(?:: \w+)? = ", file.read_text(), re.MULTILINE)
        if file.relative_to(wires).parts[0] not in {"demo", "conformance"}
    }
    shown = {row[0].removeprefix("radbridge_adapters.") for row in ROWS}
    assert "hl7v2.answering.MOST_OPEN" in found
    assert found - shown == FINER


def test_a_report_has_a_limit_of_its_own() -> None:
    """A Structured Report is kept whole, and is held to `max_sr_bytes` instead of an image's limit."""
    rules = Rules(max_header_bytes=1 << 20, max_sr_bytes=1000, wanted=frozenset())
    text = struct.pack("<HH2sHI", 0x0040, 0xA160, b"UT", 0, 2000) + b"x" * 2000
    explicit = "1.2.840.10008.1.2.1"
    report = Context(id=1, abstract_syntax="1.2.840.10008.5.1.4.1.1.88.11", transfer_syntax=explicit)
    image = Context(id=1, abstract_syntax="1.2.840.10008.5.1.4.1.1.2", transfer_syntax=explicit)
    with pytest.raises(MessageFault) as caught:
        rules.reader(report).feed(text)
    assert caught.value.reason == "header_too_big"
    rules.reader(image).feed(text)


def test_a_command_has_a_limit() -> None:
    """A command set that never ends is cut off, though each of its PDUs is a good one."""
    negotiator = Negotiator(Site().dicom)

    def judge(body: bytes) -> Accepted | Refused:
        return negotiator.judge(body, "127.0.0.1", full=False)

    association = Association(judge, 131072)
    association.receive(associate_rq())
    happened = association.receive(message(b"x" * 200_000, context=3))
    assert [each.reason for each in happened if isinstance(each, Closed)] == ["bad_command"]


def test_a_longer_number_is_no_accession() -> None:
    """An identifier that no index of the journal would take isn't read as an accession, on FHIR and what speaks it."""
    accessions = Accessions(types=frozenset(), systems=frozenset({"urn:own"}))
    assert accessions.read({"system": "urn:own", "value": "A" * 250}) is not None
    assert accessions.read({"system": "urn:own", "value": "A" * 251}) is None


def test_a_search_has_so_many_parameters() -> None:
    """One more parameter than can be searched for together is refused, and isn't left out."""
    assert len(parse("Patient", [("identifier", f"x{n}") for n in range(MAX_TERMS)]).terms) == MAX_TERMS
    with pytest.raises(Issues):
        parse("Patient", [("identifier", f"x{n}") for n in range(MAX_TERMS + 1)])


def test_feedback_has_so_many_outcomes() -> None:
    """A call with one outcome more than a card can have is refused whole."""
    with pytest.raises(Issues):
        parse_feedback(b'{"feedback": [' + b",".join([b"{}"] * (MAX_OUTCOMES + 1)) + b"]}")


def test_a_subscribers_queue_has_a_limit_in_bytes() -> None:
    """Few events that are large fill a queue as many small ones do; what was queued before is still sent."""
    limits = Limits(queue_bytes=10_000)
    subscriber = Subscriber(
        topic="t", digest="d", wanted=Wanted(patterns=("*",)), name="", until=60.0, lease_s=60, limits=limits
    )
    large = read_event(event("DiagnosticReport-update", update_context(put(observation("x" * 6_000)))))
    assert [subscriber.offer(large, 0.0) for _ in range(2)] == [True, False]
    assert subscriber.next()
    assert subscriber.offer(large, 0.0)
