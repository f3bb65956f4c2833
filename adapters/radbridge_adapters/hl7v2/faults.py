"""What can be wrong with a message, and how its sender is told (HL7 tables 0008, 0357).

Reject (`AR`) speaks of what no repetition will mend: structure, type, version, size. Error (`AE`) speaks of this
message's content, of the network that cut it, or of us. The texts are fixed: nothing of the message is ever quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from radbridge.case import Code
from radbridge.errors import MessageFault


class Outcome(StrEnum):
    """What became of a message."""

    ACCEPT = "accept"
    ERROR = "error"
    REJECT = "reject"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How one fault is told: MSA-1 by `outcome`, ERR-2, ERR-3, ERR-8."""

    outcome: Outcome
    location: str = ""
    """ERR-2: segment^sequence^field."""
    code: Code
    message: str


def _condition(value: str, display: str) -> Code:
    return Code(value=value, system="HL70357", display=display)


_SEQUENCE = _condition("100", "Segment sequence error")
_REQUIRED = _condition("101", "Required field missing")
_TYPE = _condition("200", "Unsupported message type")
_EVENT = _condition("201", "Unsupported event code")
_VERSION = _condition("203", "Unsupported version id")
_DATA = _condition("102", "Data type error")
_INTERNAL = _condition("207", "Application internal error")

_REJECT, _ERROR = Outcome.REJECT, Outcome.ERROR
_ROWS = (
    (
        "no_msh",
        _REJECT,
        "MSH^1",
        _SEQUENCE,
        "The block does not begin with an MSH segment that declares its delimiters.",
    ),
    (
        "cut",
        _ERROR,
        "",
        _SEQUENCE,
        "The block was cut: a new one began, or the connection closed, before its end bytes 1C 0D.",
    ),
    ("too_large", _REJECT, "", _INTERNAL, "The message is larger than this receiver takes; ask its operator."),
    ("unknown_type", _REJECT, "MSH^1^9", _TYPE, "This message type is not taken in here."),
    ("unknown_event", _REJECT, "MSH^1^9", _EVENT, "This trigger event is not taken in here."),
    ("unknown_version", _REJECT, "MSH^1^12", _VERSION, "Only versions 2.1 to 2.8.2 are taken in here."),
    ("no_control_id", _ERROR, "MSH^1^10", _REQUIRED, "MSH-10 is empty; no answer could be matched to it."),
    ("no_accession", _ERROR, "OBR^1^18", _REQUIRED, "The message names no accession number."),
    ("no_patient", _ERROR, "PID^1^3", _REQUIRED, "The message names no patient identifier."),
    ("no_prior_patient", _ERROR, "MRG^1^1", _REQUIRED, "The merge names no prior patient identifier."),
    *(
        (f"{name}_too_long", _REJECT, place, _DATA, f"{what} has more than 1,000 bytes: nothing could be found by it.")
        for name, place, what in (
            ("sender", "MSH^1^3", "The sender (MSH-3, MSH-4)"),
            ("control_id", "MSH^1^10", "MSH-10"),
            ("accession", "OBR^1^18", "An accession number"),
            ("issuer", "OBR^1^18", "The name of an accession number's issuer"),
            ("patient", "PID^1^3", "The patient identifier, or the name of its issuer,"),
            ("prior_patient", "MRG^1^1", "The prior patient identifier, or the name of its issuer,"),
            ("signer", "OBR^1^32", "The identifier of who is to sign"),
        )
    ),
    (
        "batch_deep",
        _REJECT,
        "BHS^1",
        _SEQUENCE,
        "A batch is one FHS at most, around BHS, around messages; this one nests them otherwise.",
    ),
    (
        "batch_size",
        _REJECT,
        "BHS^1",
        _INTERNAL,
        "The batch holds more messages than this receiver takes; ask its operator.",
    ),
    (
        "out_of_sequence",
        _ERROR,
        "MSH^1^13",
        _INTERNAL,
        "MSH-13 is not the sequence number that is expected; MSA-4 says which is.",
    ),
    (
        "not_applied",
        _ERROR,
        "",
        _INTERNAL,
        "The message is stored and could not be applied; its receiver's operator has been told.",
    ),
    ("not_stored", _ERROR, "", _INTERNAL, "The message could not be stored; send it again later."),
)
"""Reason, MSA-1, ERR-2, ERR-3, ERR-8."""
ANSWERS = {
    reason: Answer(outcome=outcome, location=location, code=code, message=message)
    for reason, outcome, location, code, message in _ROWS
}


def fault(reason: str) -> MessageFault:
    """The error for a `reason` of ANSWERS, as an exception that may be logged."""
    answer = ANSWERS[reason]
    return MessageFault(reason, answer.message, where=_standard_place(answer.location))


def _standard_place(location: str) -> str:
    segment, _, rest = location.partition("^")
    position = rest.partition("^")[2]
    return f"{segment}-{position}" if position else segment
