"""A syslog message (RFC 5424) in its frame (RFC 5425, 4.3.1): what a repository gets of one event."""

from __future__ import annotations

import json
import os
import re
import socket
from functools import cache
from typing import Final, Literal

from radbridge.audit import to_fhir
from radbridge.journal.audit import Chained
from radbridge_adapters.syslog.dicom_xml import to_xml

Format = Literal["dicom", "fhir"]

PRIORITY: Final = 85
"""Facility 10, security and authorization; severity 5, notice (ITI TF-2 3.20.4.1.1.1)."""
APP_NAME: Final = "radbridge"
_MSGID: Final = {"dicom": "IHE+RFC-3881", "fhir": "FHIR"}
_BOM: Final = b"\xef\xbb\xbf"
"""Before text in UTF-8 (RFC 5424, 6.4)."""
_SEQUENCE: Final = 2**31 - 1
_UNPRINTABLE: Final = re.compile(r"[^!-~]")


def write_frame(message: bytes) -> bytes:
    """The message with its length before it: octet counting."""
    return b"%d %s" % (len(message), message)


def write_message(event: Chained, format: Format) -> bytes:
    """The event as a repository wants it. Its number is `meta sequenceId`: one that comes twice is known by it."""
    at = event.note.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    number = (event.seq - 1) % _SEQUENCE + 1  # RFC 5424, 7.3.1: it begins again at 1
    head = f'<{PRIORITY}>1 {at} {_host()} {APP_NAME} {os.getpid()} {_MSGID[format]} [meta sequenceId="{number}"] '
    return head.encode() + _BOM + _body(event, format)


def _body(event: Chained, format: Format) -> bytes:
    if format == "dicom":
        return to_xml(event).encode()
    return json.dumps(to_fhir(event.note, id=str(event.seq)), separators=(",", ":")).encode()


@cache
def _host() -> str:
    """HOSTNAME: printable, without blanks, at most 255 characters."""
    return _UNPRINTABLE.sub("", socket.gethostname())[:255] or "-"
