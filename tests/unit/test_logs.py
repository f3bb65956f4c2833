"""Logs are JSON, whole, and hold no patient (rule 5)."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import MessageFault
from radbridge.logs import FREE, REDACTED, REFERENCES, configure, describe, redact

MARKERS = ("ZYXMARKER", "ZYXMARKER^JANE", "900012345", "1931-03-04", "555-010-1234", "zyx@marker.example")


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Logging set up as `radbridge up` does it, into a buffer; put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    buffer = io.StringIO()
    configure(level="debug", stream=buffer)
    yield buffer
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    structlog.reset_defaults()


def read(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_document_with_level_and_utc_time(out: io.StringIO) -> None:
    """Every event is one JSON document a line, with its level and an ISO time in UTC."""
    structlog.get_logger().info("listening", address="127.0.0.1:2575", wire="hl7v2")
    (line,) = read(out)
    assert line | {"at": ""} == {
        "event": "listening",
        "level": "info",
        "address": "127.0.0.1:2575",
        "wire": "hl7v2",
        "at": "",
    }
    assert line["at"].endswith("Z")


def test_a_level_below_the_configured_one_is_not_written(out: io.StringIO) -> None:
    """The level holds for our own events and for other libraries' alike."""
    configure(level="warning", stream=out)
    structlog.get_logger().info("quiet")
    logging.getLogger("other").info("quiet")
    assert not out.getvalue()


@pytest.mark.parametrize("marker", MARKERS)
def test_an_unlisted_key_never_shows_its_value(out: io.StringIO, marker: str) -> None:
    """What isn't listed as harmless is redacted, whatever type it has."""
    values: dict[str, Any] = {
        "patient": marker,
        "text": {"deep": [marker]},
        "raw": marker.encode(),
        "mrn": 900012345,
        "thing": object(),
    }
    structlog.get_logger().warning("seen", **values)
    (line,) = read(out)
    assert {line[key] for key in values} == {REDACTED}
    assert marker not in out.getvalue()


@pytest.mark.parametrize("marker", MARKERS[1:])
def test_the_second_net_catches_identifiers_under_harmless_keys(out: io.StringIO, marker: str) -> None:
    """An identifier that strays into a harmless key, the event or a nested value is caught by its shape."""
    structlog.get_logger().warning(f"odd {marker} here", reason=f"saw {marker}", problems=[{"x": marker}])
    assert marker not in out.getvalue()
    assert read(out)[0]["event"] == f"odd {REDACTED} here"


def test_an_hl7_segment_never_passes(out: io.StringIO) -> None:
    """A segment in a harmless value goes, to the end of its line."""
    structlog.get_logger().error("fault", reason="at PID|1||X1^^^H||ZYXMARKER ANY WORDS\rOBX|1|TX")
    assert "ZYXMARKER" not in out.getvalue()
    assert "OBX" not in out.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        "rad/smith@v12-123456789012",
        "ORU^R01",
        "127.0.0.1:2575",
        "[::1]:8080",
        "0b9f3c1e-1111-4222-8333-123456789012",
        "OBR-18",
        "2.5.1",
        "no_accession: OBR-18 and OBR-3 are empty",
    ],
)
def test_what_an_operator_needs_stays_readable(out: io.StringIO, value: str) -> None:
    """The second net leaves versions, addresses, message types and clauses alone."""
    structlog.get_logger().info("seen", reason=value)
    assert read(out)[0]["reason"] == value


def test_credentials_in_a_url_never_pass(out: io.StringIO) -> None:
    """A database URL is shown without the password, a web address without its query."""
    structlog.get_logger().info("store", url="postgresql://site:hunter2@db/rad", host="http://h/x?name=ZYXMARKER")
    assert "hunter2" not in out.getvalue()
    assert "ZYXMARKER" not in out.getvalue()


def test_a_reference_follows_a_case_without_naming_it(out: io.StringIO) -> None:
    """The same accession has the same reference in one run; another accession has another one."""
    log = structlog.get_logger()
    for accession in ("A1", "A1", "A2"):
        log.info("seen", accession=accession)
    first, again, other = (line["accession"] for line in read(out))
    assert first == again != other
    assert "A1" not in out.getvalue()


def test_a_foreign_exception_shows_types_and_places_only(out: io.StringIO) -> None:
    """The message of a foreign exception, its causes and its group members stay out; ours is shown."""
    try:
        try:
            int("ZYXMARKER")
        except ValueError as error:
            raise MessageFault("no_msh", "the message has no MSH segment") from ExceptionGroup("ZYXMARKER", [error])
    except MessageFault:
        structlog.get_logger().exception("refused")
    (line,) = read(out)
    assert line["exception"].startswith("MessageFault: the message has no MSH segment\n  unit/test_logs.py:")
    assert "ExceptionGroup" in line["exception"]
    assert "ValueError" in line["exception"]
    assert "ZYXMARKER" not in out.getvalue()


def test_an_operating_system_error_keeps_its_code() -> None:
    """An operator sees why a socket failed, not what was in the message."""
    assert describe(ConnectionRefusedError(111, "ZYXMARKER")) == "ConnectionRefusedError (ECONNREFUSED)"


def test_a_foreign_record_shows_literals_only(out: io.StringIO) -> None:
    """Another library's text passes as it stands in its source, without arguments; a text made at run time doesn't."""
    other, name = logging.getLogger("somebody.else"), "ZYXMARKER"
    other.info("Waiting for application startup.")
    other.info("path %s", name)
    other.info(f"path {name}")
    other.info("path " + name)
    assert [line["event"] for line in read(out)] == [
        "Waiting for application startup.",
        "path %s",
        REDACTED,
        REDACTED,
    ]
    assert all(line["where"].startswith("unit/test_logs.py:") for line in read(out))
    assert "ZYXMARKER" not in out.getvalue()


def test_an_exception_in_an_asyncio_callback_is_reported_without_its_text(out: io.StringIO) -> None:
    """Asyncio's own report quotes a callback's arguments and the exception; neither gets through."""

    def fail(_: bytes) -> None:
        raise ValueError("ZYXMARKER")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.call_soon(fail, b"PID|1|ZYXMARKER")
        loop.call_soon(done.set)
        await done.wait()

    asyncio.run(run())
    (line,) = [line for line in read(out) if line["level"] == "error"]
    assert line["logger"] == "asyncio"
    assert line["exception"].startswith("ValueError\n")
    assert "ZYXMARKER" not in out.getvalue()


def test_an_uncaught_exception_is_reported_without_its_text(out: io.StringIO) -> None:
    """A crash of the process or of a thread leaves types and places, no text."""
    error = ValueError("ZYXMARKER")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))
    assert [line["level"] for line in read(out)] == ["critical", "critical"]
    assert "ZYXMARKER" not in out.getvalue()


def test_the_console_form_is_redacted_too(out: io.StringIO) -> None:
    """The form for humans goes through the same redaction."""
    configure(format="console", stream=out)
    structlog.get_logger().error("fault", patient="ZYXMARKER", reason="no_msh", exc_info=ValueError("ZYXMARKER"))
    assert "no_msh" in out.getvalue()
    assert "ZYXMARKER" not in out.getvalue()


words = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)
anything = st.recursive(
    words | st.integers() | st.floats() | st.binary(max_size=20) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words.filter(lambda key: key not in FREE | REFERENCES | {"exception"}), anything, max_size=5))
def test_redaction_lets_nothing_unlisted_through(event: dict[str, Any]) -> None:
    """For any event: under an unlisted key there is only a truth value, nothing, or the placeholder."""
    for value in redact(None, "info", dict(event)).values():
        assert value is None or isinstance(value, bool) or value == REDACTED


@given(anything, st.sampled_from(sorted(FREE)))
def test_redaction_never_fails_and_stays_json(value: Any, key: str) -> None:
    """For any value under a listed key the result can be written as JSON."""
    json.dumps(redact(None, "info", {key: value}))
