"""A draft as ORU^R01 2.5.1, and the message that takes it back.

Segments are written as strings, in 0.1 ms: hl7apy takes some 27 ms to build and validate this message, most of what the
product allows itself beside the engine. So hl7apy's strict validation holds every shape of it in tests, and checks a
specimen with the site's own names when the wire is built (`require_valid`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from radbridge.case import Case, CaseKey, Code, Order, Patient, Radiologist, Sex, Study
from radbridge.draft import DraftImpression, Flag, Stage
from radbridge.errors import ConfigError
from radbridge_adapters.hl7v2.er7 import clean, escape
from radbridge_adapters.hl7v2.times import write_time

IMPRESSION = Code(value="19005-8", system="LN", display="Radiology Imaging study [Impression]")
METHOD = Code(value="AI-DRAFT", system="99RADBRIDGE", display="AI draft, not verified")
"""OBX-17 of every line."""


class Unverified(StrEnum):
    """The states a draft can leave with (tables 0123 and 0085). There is no other."""

    NOT_VERIFIED = "R"
    PRELIMINARY = "P"


_DELETE = "D"
"""OBX-11 of a withdrawal (table 0085)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressing:
    """Who sends to whom, and which unverified state the receiver knows."""

    application: str
    facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    status: Unverified = Unverified.NOT_VERIFIED
    acknowledge: tuple[str, str] = ("", "")
    """MSH-15 and MSH-16: which acknowledgements are asked for (table 0155); both empty: original mode."""


class Composer:
    """Writes messages for one destination."""

    def __init__(self, addressing: Addressing, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._to = addressing
        self._clock = clock

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The draft: one OBX per line, one NTE per flag."""
        return self._write(case, draft, control_id, withdrawn=False)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The same OBX with the same ids, deleted and empty."""
        return self._write(case, draft, control_id, withdrawn=True)

    def _write(self, case: Case, draft: DraftImpression, control_id: str, *, withdrawn: bool) -> bytes:
        now, made_at = write_time(self._clock()), write_time(draft.made_at)
        segments = [
            self._msh(control_id, now),
            *_patient(case.patient),
            _fields("ORC", {1: "RE", 2: escape(case.order.placer), 3: _filler(case)}),
            _obr(case, self._to.status, now, made_at),
        ]
        for number, line in enumerate(_lines(draft.text), start=1):
            state = _DELETE if withdrawn else self._to.status.value
            segments.append(_obx(number, "" if withdrawn else line, state, draft, made_at))
        if not withdrawn:
            segments += [_nte(number, flag) for number, flag in enumerate(draft.flags, start=1)]
        return ("\r".join(segments) + "\r").encode("utf-8", "replace")

    def _msh(self, control_id: str, now: str) -> str:
        to = self._to
        names = (to.application, to.facility, to.receiving_application, to.receiving_facility)
        addresses = "|".join(escape(name) for name in names)
        wanted = "|".join(to.acknowledge)
        return f"MSH|^~\\&|{addresses}|{now}||ORU^R01^ORU_R01|{escape(control_id)}|P|2.5.1|||{wanted}||UNICODE UTF-8"


def require_valid(payload: bytes, destination: str) -> None:
    """Raises ConfigError when hl7apy's strict validation refuses a message to `destination`."""
    from hl7apy.consts import VALIDATION_LEVEL  # 0.1 s, and only here
    from hl7apy.exceptions import HL7apyException
    from hl7apy.parser import parse_message

    try:
        parse_message(payload.decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT).validate()
    except (HL7apyException, ValueError) as error:
        raise ConfigError(
            [f"hl7v2.destinations {destination!r}: what would be sent there is no valid HL7 2.5.1: {error}"]
        ) from None


def _fields(name: str, values: dict[int, str]) -> str:
    last = max((position for position, value in values.items() if value), default=0)
    return "|".join([name, *(values.get(position, "") for position in range(1, last + 1))])


def _patient(patient: Patient) -> list[str]:
    """PID and PV1; none at all when the patient was never told, since PID-3 is required."""
    if not clean(patient.id).strip():
        return []
    born = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    name = "^".join(escape(part) for part in patient.name.split("^"))
    identifier = f"{escape(patient.id)}^^^{escape(patient.issuer)}^MR"
    return [
        _fields("PID", {1: "1", 3: identifier, 5: name or "^", 7: born, 8: patient.sex.value}),
        _fields("PV1", {1: "1", 2: escape(patient.patient_class) or "U"}),
    ]


def _obr(case: Case, status: Unverified, now: str, made_at: str) -> str:
    order: Order = case.order
    study: Study = case.study
    return _fields(
        "OBR",
        {
            1: "1",
            2: escape(order.placer),
            3: _filler(case),
            4: _code(order.procedure) if order.procedure != Code() else _code(Code(value="UNKNOWN", system="L")),
            7: write_time(study.at) if study.at else made_at,
            18: escape(case.key.accession),
            22: now,
            24: "RAD",
            25: status.value,
            32: _ndl(case.signer),
        },
    )


def _filler(case: Case) -> str:
    """OBR-3: the filler's own number where it is another than the accession, which OBR-18 carries in any case."""
    number = case.order.filler or case.key.accession
    issuer = case.key.issuer if number == case.key.accession else ""
    return f"{escape(number)}^{escape(issuer)}" if issuer else escape(number)


def _obx(number: int, line: str, state: str, draft: DraftImpression, made_at: str) -> str:
    return _fields(
        "OBX",
        {
            1: str(number),
            2: "TX",
            3: _code(IMPRESSION),
            4: str(number),
            5: escape(line),
            11: state,
            14: made_at,
            17: _code(METHOD),
            18: f"{escape(draft.lora)}^RADBRIDGE",
        },
    )


def _nte(number: int, flag: Flag) -> str:
    return _fields(
        "NTE", {1: str(number), 2: "L", 3: escape(f"{flag.severity.value}: {flag.kind}: {flag.message}"), 4: "RE"}
    )


def _lines(text: str) -> list[str]:
    """The lines of a draft that have content; at least one, so that a withdrawal has something to delete."""
    return [kept for line in text.splitlines() if (kept := clean(line).strip())] or [""]


def _code(code: Code) -> str:
    return f"{escape(code.value)}^{escape(code.display)}^{escape(code.system)}".rstrip("^")


def _ndl(signer: Radiologist) -> str:
    names = [escape(part) for part in signer.name.split("^")] if signer.name else []
    return "&".join([escape(signer.id), *names]) if signer.id else ""


def specimen() -> tuple[Case, DraftImpression]:
    """An invented case and draft in which every segment has content."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    case = Case(
        key=CaseKey(accession="ACC900001", issuer="RIS"),
        patient=Patient(
            id="900001", issuer="HOSP", name="DOE^JANE", birth_date=date(1960, 1, 2), sex=Sex.FEMALE, patient_class="O"
        ),
        order=Order(placer="P900001", filler="ACC900001", procedure=Code(value="CTCH", system="L", display="CT CHEST")),
        study=Study(modality="CT", at=at),
        signer=Radiologist(id="1234", name="ROE^RICHARD"),
    )
    draft = DraftImpression(
        id="specimen",
        text="No acute disease.\nStable 4 mm nodule.",
        findings_digest="0" * 16,
        signer="1234",
        lora="base",
        model="specimen",
        base_digest="0" * 12,
        prompt_version="p1",
        stage=Stage.COARSE,
        flags=(Flag(kind="omitted", message="invented"),),
        made_at=at,
    )
    return case, draft
