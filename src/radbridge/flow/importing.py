"""Rows of historical reports: one JSON line, one signed report, as facts of a wire of the core's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter

from radbridge.case import CaseKey, Patient, Radiologist, ReportText, Sex, Study
from radbridge.errors import MessageFault
from radbridge.events import Event, ReportSigned
from radbridge.jsonl import parse_row
from radbridge.wire import Received

WIRE = "import"
ISSUER = "IMPORT"
"""Of the accessions and patients of rows: a case of a RIS never has it."""
KIND = "row"
_YEAR = timedelta(days=365.2425)
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""For a row that doesn't say when it was signed: before all that do, and always the same."""
_SEXES = {"FEMALE": "F", "MALE": "M", "OTHER": "O", "UNKNOWN": "", "U": ""}


def _read_sex(said: object) -> object:
    word = said.strip().upper() if isinstance(said, str) else said
    return _SEXES.get(word, word) if isinstance(word, str) else word


def _with_zone(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_Said = Annotated[str, Field(pattern=r"\S")]
_Sex = Annotated[Sex, BeforeValidator(_read_sex)]
_Time = Annotated[datetime, AfterValidator(_with_zone)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRow:
    """A signed report of a file. Keys that aren't here are passed over."""

    __pydantic_config__ = ConfigDict(coerce_numbers_to_str=True)

    id: _Said = field(repr=False)
    """Its accession number, or any name that no other report of the site has."""
    findings: _Said = field(repr=False)
    impression: _Said = field(repr=False)
    radiologist: _Said
    signed_at: _Time = _UNDATED
    """Without an offset: UTC."""
    patient: str = field(default="", repr=False)
    """Whose reports belong together; without one, the report is taken for a patient's only one."""
    patient_name: str = field(default="", repr=False)
    """So that it is taken out of the texts, as is `radiologist_name`."""
    radiologist_name: str = ""
    modality: str = ""
    sex: _Sex = Sex.UNKNOWN
    age: Annotated[int, Field(ge=0, le=130)] | None = None
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    persona: str = ""
    """Who writes most like this radiologist, where somebody knows: `succinct`, `elaborate`."""


_ROW = TypeAdapter(ImportRow)


def read_row(data: bytes, *, radiologist: str = "radiologist") -> ImportRow:
    """A line of a file. `radiologist` is the key under which it names its signer.

    Raises ValueError, which says what is wrong and quotes nothing.
    """
    if radiologist == "radiologist":
        return parse_row(_ROW, data)
    try:
        return parse_row(_ROW, _rename(data, radiologist))
    except ValueError as error:  # told under the key that the file has, or should have
        raise ValueError(str(error).replace("radiologist ", f"{radiologist} ")) from None


def as_received(row: ImportRow) -> Received:
    """The row as a message: the same row is the same message, and another text under its id a correction."""
    told = {k: v for k, v in _ROW.dump_python(row, mode="json", exclude_defaults=True).items() if k != "persona"}
    return Received(
        wire=WIRE,
        peer="a file",
        sender=WIRE,
        control_id=row.id,
        kind=KIND,
        accession=row.id,
        raw=orjson.dumps(told, option=orjson.OPT_SORT_KEYS),
        ack=b"",
    )


def translate_row(raw: bytes) -> Sequence[Event]:
    """What a row told; the wire's `translate`. Raises MessageFault for what isn't one."""
    try:
        row = read_row(raw)
    except ValueError as error:
        raise MessageFault("bad_row", str(error)) from None
    patient = Patient(
        id=row.patient or row.id,
        issuer=ISSUER,
        name=row.patient_name,
        sex=row.sex,
        birth_date=None if row.age is None else _born(row.signed_at, row.age),
    )
    report = ReportText(
        findings=row.findings, impression=row.impression, indication=row.indication, comparison=row.comparison
    )
    return [
        ReportSigned(
            key=CaseKey(accession=row.id, issuer=ISSUER),
            at=row.signed_at,
            patient=patient,
            study=Study(modality=row.modality, at=row.signed_at),
            report=report,
            signer=Radiologist(id=row.radiologist, name=row.radiologist_name),
        )
    ]


def _rename(data: bytes, key: str) -> bytes:
    """The line with the signer under its usual key; one that isn't JSON is left to whoever reads it."""
    try:
        row: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return data
    if not isinstance(row, dict):
        return data
    return orjson.dumps({k: v for k, v in row.items() if k != "radiologist"} | {"radiologist": row.get(key)})


def _born(at: datetime, age: int) -> date:
    """A birth date that gives this age, half a year from where it would give another: no row tells a real one."""
    return (at - (age + 0.5) * _YEAR).date()
