"""PID, PV1 and MRG to a `Patient`."""

from __future__ import annotations

from radbridge.case import Patient, Sex
from radbridge_adapters.hl7v2.er7 import Segment, Value
from radbridge_adapters.hl7v2.times import read_date

SEXES = {"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER, "A": Sex.OTHER, "N": Sex.OTHER, "U": Sex.UNKNOWN}
"""Table 0001."""

_OTHER_IDS = (2, 4, 18, 19, 20)
"""PID: old and alternate ids, account, national number, driver's licence."""
_VISIT_IDS = (19, 50)
_PHONES = (13, 14)
_STREET_CITY_STATE_ZIP = (1, 3, 4, 5)


def read_patient(pid: Segment | None, pv1: Segment | None = None) -> Patient:
    """Who a message is about; empty when it has no PID."""
    if pid is None:
        return Patient()
    own = choose_id(pid, 3)
    spare = [value.text() for value in pid.repeats(3) if own is None or value.raw != own.raw]
    spare += [pid.text(position) for position in _OTHER_IDS]
    spare += [pv1.text(position) for position in _VISIT_IDS] if pv1 else []
    return Patient(
        id=own.text() if own else "",
        issuer=own.text(4) if own else "",
        name=_name(pid),
        birth_date=read_date(pid.text(7)),
        sex=SEXES.get(pid.text(8).upper(), Sex.UNKNOWN),
        patient_class=pv1.text(2).upper() if pv1 else "",
        phones=tuple(
            dict.fromkeys(phone for position in _PHONES for v in pid.repeats(position) if (phone := _phone(v)))
        ),
        address=_address(pid),
        other_ids=tuple(dict.fromkeys(text for text in spare if text)),
    )


def choose_id(segment: Segment, position: int) -> Value | None:
    """Of several identifiers (CX) the medical record number, else the first that is valued."""
    values = [value for value in segment.repeats(position) if value.text()]
    return next((value for value in values if value.text(5) == "MR"), values[0] if values else None)


def _name(pid: Segment) -> str:
    """PID-5 in the form that DICOM shares: `DOE^JANE^Q`."""
    names = pid.repeats(5)
    return "^".join(part.replace("^", " ") for part in names[0].components()[:5]).rstrip("^") if names else ""


def _phone(value: Value) -> str:
    return value.text(1) or value.text(12) or " ".join(part for part in (value.text(6), value.text(7)) if part)


def _address(pid: Segment) -> str:
    places = pid.repeats(11)
    return ", ".join(t for n in _STREET_CITY_STATE_ZIP if (t := places[0].text(n))) if places else ""
