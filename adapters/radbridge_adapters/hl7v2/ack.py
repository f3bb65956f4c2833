"""Acknowledgements as bytes (HL7 2.5.1, chapter 2.9.2 and 2.15).

Written by string, since one leaves for every message; tests hold them valid against hl7apy.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping

from radbridge_adapters.hl7v2.er7 import escape
from radbridge_adapters.hl7v2.faults import ANSWERS, Outcome
from radbridge_adapters.hl7v2.header import Header

ORIGINAL_MODE: Mapping[Outcome, str] = {Outcome.ACCEPT: "AA", Outcome.ERROR: "AE", Outcome.REJECT: "AR"}
ENHANCED_COMMIT: Mapping[Outcome, str] = {Outcome.ACCEPT: "CA", Outcome.ERROR: "CE", Outcome.REJECT: "CR"}

_numbers = itertools.count(int(time.time() * 1000))
_PROCESSING = re.compile(r"[PDT]")
_EVENT = re.compile(r"[A-Z]\d{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def choose_mode(header: Header) -> Mapping[Outcome, str]:
    """The codes to answer with. Where MSH-15 or MSH-16 ask for enhanced mode, original mode answers all the same."""
    return ORIGINAL_MODE


class AckWriter:
    """Writes what leaves for a message: `AA`, or `AE` / `AR` with the fault."""

    def __init__(self, application: str, facility: str) -> None:
        self._from = f"{escape(application)}|{escape(facility)}"

    def accept(self, header: Header) -> bytes:
        """The positive answer, to be sent once the message is committed."""
        return self._write(header, choose_mode(header)[Outcome.ACCEPT], "")

    def refuse(self, header: Header, reason: str) -> bytes:
        """The negative answer for a `reason` of `faults.ANSWERS`."""
        answer = ANSWERS[reason]
        code = answer.code
        error = f"ERR||{answer.location}|{code.value}^{code.display}^{code.system}|E||||{escape(answer.message)}\r"
        return self._write(header, choose_mode(header)[answer.outcome], error)

    def _write(self, header: Header, code: str, error: str) -> bytes:
        event = f"^{header.event}^ACK" if _EVENT.fullmatch(header.event) else ""
        processing = header.processing if _PROCESSING.fullmatch(header.processing) else "P"
        now = time.strftime("%Y%m%d%H%M%S+0000", time.gmtime())
        to = f"{_echo(header.application, header)}|{_echo(header.facility, header)}"
        return (
            f"MSH|^~\\&|{self._from}|{to}|{now}||ACK{event}|"
            f"R{next(_numbers):x}|{processing}|2.5.1||||||UNICODE UTF-8\r"
            f"MSA|{code}|{_echo(header.control_id, header)}\r{error}"
        ).encode("utf-8", "replace")


def _echo(raw: str, header: Header) -> str:
    """A field as it was sent, character for character where the delimiters are the same: the sender's own id."""
    if _CONTROL.search(raw):
        raw = _CONTROL.sub("", raw)
    return raw if header.standard_delimiters else escape(raw)
