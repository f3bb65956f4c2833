"""Acknowledgements as bytes, and which of them a sender wants (HL7 2.5.1, chapters 2.9.2, 2.9.3 and 2.15).

Written by string, since one leaves for every message; tests hold them valid against hl7apy.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from radbridge_adapters.hl7v2.er7 import NULL, escape
from radbridge_adapters.hl7v2.faults import ANSWERS, Outcome
from radbridge_adapters.hl7v2.header import Header

APPLICATION: Mapping[Outcome, str] = {Outcome.ACCEPT: "AA", Outcome.ERROR: "AE", Outcome.REJECT: "AR"}
"""Table 0008: original mode's codes, and the application level's of enhanced mode."""
COMMIT: Mapping[Outcome, str] = {Outcome.ACCEPT: "CA", Outcome.ERROR: "CE", Outcome.REJECT: "CR"}
"""Table 0008: the accept level's of enhanced mode."""

_GOOD, _BAD = frozenset({Outcome.ACCEPT}), frozenset({Outcome.ERROR, Outcome.REJECT})
WANTED: Mapping[str, frozenset[Outcome]] = {"AL": _GOOD | _BAD, "NE": frozenset(), "ER": _BAD, "SU": _GOOD}
"""Table 0155: which outcomes are told. A word that isn't there stands for `AL`: who says something wants something."""

_WORD = 20
"""Characters of a mode that are looked at: those that are longer would fill the memory that keeps them."""
_numbers = itertools.count(int(time.time() * 1000))
_PROCESSING = frozenset("PDT")
_EVENT = re.compile(r"[A-Z]\d{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """How one message wants to be acknowledged."""

    is_enhanced: bool = False
    accept: frozenset[Outcome] = frozenset()
    """Told at the accept level."""
    application: frozenset[Outcome] = frozenset()

    def first(self, outcome: Outcome) -> str:
        """MSA-1 of what leaves at once; empty: nothing does.

        A message that wasn't taken in gets no application answer later, so one that wants only that gets it now.
        """
        if not self.is_enhanced:
            return APPLICATION[outcome]
        if outcome in self.accept:
            return COMMIT[outcome]
        return APPLICATION[outcome] if outcome in self.application & _BAD else ""

    def later(self, outcome: Outcome) -> str:
        """MSA-1 of what leaves once a message that was taken in is applied; empty: nothing does."""
        return APPLICATION[outcome] if self.is_enhanced and outcome in self.application else ""


ORIGINAL = Mode()


@lru_cache(maxsize=256)
def choose_mode(accept: str, application: str) -> Mode:
    """The mode that MSH-15 and MSH-16 ask for, as sent. Where only one is valued the other one counts as `NE`."""
    words = [_word(accept), _word(application)]
    if words == ["", ""]:
        return ORIGINAL
    told = [WANTED.get(word or "NE", WANTED["AL"]) for word in words]
    return Mode(is_enhanced=True, accept=told[0], application=told[1])


def _word(raw: str) -> str:
    return "" if raw == NULL else raw.strip().upper()


class AckWriter:
    """Writes what leaves for a message, by the mode that it asks for."""

    def __init__(self, application: str, facility: str, *, original: bool = False) -> None:
        """An `original` one answers in original mode, whatever MSH-15 and MSH-16 ask for."""
        self._from = f"{escape(application)}|{escape(facility)}"
        self._original = original

    def mode(self, header: Header) -> Mode:
        """How a message is acknowledged."""
        return ORIGINAL if self._original else choose_mode(header.accept_ack[:_WORD], header.application_ack[:_WORD])

    def accept(self, header: Header, *, expected: int | None = None) -> bytes:
        """The positive answer, to be sent once the message is committed; empty where none is wanted.

        `expected` is MSA-4, the sequence number that is to come next.
        """
        return self._write(header, self.mode(header).first(Outcome.ACCEPT), expected=expected)

    def refuse(self, header: Header, reason: str, *, expected: int | None = None) -> bytes:
        """The negative answer for a `reason` of `faults.ANSWERS`; empty where none is wanted."""
        code = self.mode(header).first(ANSWERS[reason].outcome)
        return self._write(header, code, reason, expected=expected)

    def conclude(self, header: Header, reason: str = "") -> bytes:
        """The application answer to a message that was taken in and applied, or not for `reason`; may be empty."""
        return self._write(header, self.mode(header).later(ANSWERS[reason].outcome if reason else _YES), reason)

    def envelope(self, header: Header) -> tuple[str, str]:
        """Fields 2 to 6 and the time, as the headers of an answer's batch have them (BHS-2 to BHS-7)."""
        to = f"{_echo(header.application, header)}|{_echo(header.facility, header)}"
        return f"^~\\&|{self._from}|{to}", _now()

    def echo_id(self, header: Header) -> str:
        """The sender's id as MSA-2, BHS-12 and FHS-12 give it back."""
        return _echo(header.control_id, header)

    def _write(self, header: Header, code: str, reason: str = "", *, expected: int | None = None) -> bytes:
        if not code:
            return b""
        event = f"^{header.event}^ACK" if header.kind or _EVENT.fullmatch(header.event) else ""
        processing = header.processing if header.processing in _PROCESSING else "P"
        fields, now = self.envelope(header)
        msa_4 = "" if expected is None else f"||{expected}"
        return (
            f"MSH|{fields}|{now}||ACK{event}|{new_id()}|{processing}|2.5.1||||||UNICODE UTF-8\r"
            f"MSA|{code}|{_echo(header.control_id, header)}{msa_4}\r{_error(reason)}"
        ).encode("utf-8", "replace")


_YES = Outcome.ACCEPT


def new_id() -> str:
    """An id of our own, at most 20 characters (MSH-10 in 2.5.1)."""
    return f"R{next(_numbers):x}"


def _error(reason: str) -> str:
    if not reason:
        return ""
    answer = ANSWERS[reason]
    code = f"{answer.code.value}^{answer.code.display}^{answer.code.system}"
    return f"ERR||{answer.location}|{code}|E||||{escape(answer.message)}\r"


def _now() -> str:
    return _write_time(int(time.time()))


@lru_cache(maxsize=1)
def _write_time(second: int) -> str:
    return time.strftime("%Y%m%d%H%M%S+0000", time.gmtime(second))


def _echo(raw: str, header: Header) -> str:
    """A field as it was sent, character for character where the delimiters are the same: the sender's own id."""
    if not raw.isprintable():
        raw = _CONTROL.sub("", raw)
    return raw if header.standard_delimiters else escape(raw)
