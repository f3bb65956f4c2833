"""What the imaging side tells of an accession: the studies, what machines measured, and earlier studies.

Values only, in DICOM's terms. Who wins where DICOM and the RIS disagree is `radbridge.assemble`'s to say. An empty
string means "not told". Fields that hold PHI have `repr=False`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from pydantic import AwareDatetime

MAX_TOLD = 50
"""Studies that are kept under one accession."""
MAX_MEASURED = 200
"""Measurements that are kept of one case."""
MAX_LINE_CHARS = 300
MAX_IDENTITIES = 100
"""Series of one study of which is kept whom they are said to be of."""
MAX_PRIORS = 50
"""Earlier studies that are kept of one case, the newest ones."""
MAX_IMPRESSION_CHARS = 1000
"""What is taken of an earlier report's impression."""

PREFERRED = frozenset(("modality", "contrast", "uid", "at"))
"""What the images know better of a study than the order: what was done. All else is the RIS's word, if it has one."""

_LEADING = {
    "modality": ("PT", "NM", "MG", "MR", "XA", "CT", "RF", "US", "DX", "CR"),
    "contrast": ("with and without", "with", "without"),
}
"""What a study of several series is called after: PET/CT is PT."""
_JOINED_BY = ", "
_NO_SERIES = ("mpps", "worklist")
_WHO = ("patient_id", "patient_issuer", "sex", "birth_date")
_LENGTHS = frozenset(("mm", "cm", "um"))
"""UCUM units that are said before the thing: `6 mm nodule`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Whom one teller says that a study is of."""

    by: str
    """The Series Instance UID; the source for what isn't of one series."""
    patient_id: str = field(default="", repr=False)
    patient_issuer: str = ""
    sex: str = ""
    """`M`, `F` or `O`."""
    birth_date: date | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What DICOM says of one study under an accession."""

    study_uid: str
    source: str = "images"
    """`images`, `mpps`, `worklist` or `pacs`."""
    patient_id: str = field(default="", repr=False)
    patient_issuer: str = ""
    sex: str = ""
    """`M`, `F` or `O`."""
    birth_date: date | None = field(default=None, repr=False)
    age: int | None = None
    """Whole years (0010,1010)."""
    modality: str = ""
    """One of `radbridge.procedure.MODALITIES`."""
    body_part: str = ""
    """In the words of `radbridge.procedure.BODY_PARTS`."""
    laterality: str = ""
    """`L`, `R` or `B`."""
    contrast: str = ""
    """`with` when an agent is named; else what the description says."""
    description: str = ""
    procedure_value: str = ""
    procedure_system: str = ""
    procedure_display: str = ""
    reason: str = field(default="", repr=False)
    at: AwareDatetime | None = None
    """When the study was made."""
    step: str = ""
    """`IN PROGRESS`, `COMPLETED` or `DISCONTINUED`, as the procedure step was told of last (0040,0252)."""
    by: str = ""
    """Who says so: the Series Instance UID, else the source."""
    said: tuple[Identity, ...] = ()
    """What every teller said of the patient, once there were several: one series may be filed under a wrong patient."""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Whom it is said to be of, by each teller."""
        own = {f.name: getattr(self, f.name) for f in fields(Identity)}
        return self.said or (Identity(**own),)

    @property
    def was_given_up(self) -> bool:
        """Whether it is no more than a procedure step that was discontinued: the wrong worklist entry, often."""
        return self.step == "DISCONTINUED" and all(i.by in _NO_SERIES for i in self.identities)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One measurement or finding of a machine (TID 1500), never the radiologist's."""

    source: str
    """Who measured, as it stands in the brackets: `AI: Acme LungScan`."""
    finding: str = field(default="", repr=False)
    """`nodule`."""
    site: str = field(default="", repr=False)
    """`right upper lobe`, side included."""
    laterality: str = ""
    """`L`, `R` or `B`."""
    kind: str = ""
    """`diameter`, `volume`, `DLP`."""
    value: str = field(default="", repr=False)
    """A decimal or a word, as it was sent; empty for a finding that has none."""
    unit: str = ""
    """UCUM."""
    tracking: str = ""
    """Tracking identifier: the same in a later version for the same lesion."""
    sop_uid: str = ""
    """Of the object that it came in."""

    @property
    def line(self) -> str:
        """`[AI: Acme LungScan] 6 mm nodule, right upper lobe`."""
        return f"[{self.source}] {self.statement}"[:MAX_LINE_CHARS]

    @property
    def statement(self) -> str:
        """The line without who says so."""
        amount = f"{self.value} {self.unit}".strip()
        if self.finding and self.unit in _LENGTHS:
            parts = [f"{amount} {self.finding}", self.site]
        else:
            parts = [self.finding, self.site, f"{self.kind} {amount}".strip() if amount else ""]
        return _JOINED_BY.join(part for part in parts if part)

    @property
    def is_comparable(self) -> bool:
        """Whether dictated text may be held to it: it names a thing, and gives it a size or a side."""
        return bool(self.finding and ((self.value and self.unit in _LENGTHS) or self.laterality or self.site))


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """An earlier study of the patient."""

    study_uid: str
    accession: str = field(default="", repr=False)
    issuer: str = ""
    on: date | None = field(default=None, repr=False)
    modality: str = ""
    body_part: str = ""
    description: str = ""
    impression: str = field(default="", repr=False)
    """Of the one that was chosen, when its report is in the journal; up to `MAX_IMPRESSION_CHARS`."""

    @property
    def name(self) -> str:
        """`CT CHEST of 2025-03-01`: what a draft may be held to, and no more than that."""
        what = " ".join(w for w in (self.modality, self.body_part) if w) or self.description or "Study"
        return f"{what} of {self.on.isoformat()}" if self.on else what


def tell_comparison(comparison: str, concluded: str) -> str:
    """What is compared with, and what the report of it concluded: the same text in serving and in training."""
    return f"{comparison} Its impression: {concluded}" if concluded else comparison


def observe(known: Sequence[Told], told: Told) -> tuple[Told, ...]:
    """`known` with what is told of one study, one entry for each; in the order of their UIDs, whichever came first."""
    before = next((t for t in known if t.study_uid == told.study_uid), None)
    if before is None and len(known) >= MAX_TOLD:
        return tuple(known)
    others = [t for t in known if t is not before]
    return tuple(sorted((*others, _merge(before, told) if before else told), key=lambda t: t.study_uid))


def _merge(known: Told, told: Told) -> Told:
    """One study: its series are joined where each tells of itself; of the rest, what was told last holds.

    But nothing that was said of the patient is forgotten: a mix-up must not depend on which series came last.
    """
    later: dict[str, Any] = {
        f.name: value for f in fields(Told) if (value := getattr(told, f.name)) not in ("", None, ())
    }
    for name, leading in _LEADING.items():
        later[name] = next((v for v in leading if v in (getattr(known, name), getattr(told, name))), "")
    later["laterality"] = join_sides((known.laterality, told.laterality))
    later["body_part"] = join_parts((known.body_part, told.body_part))
    later["at"] = min((t for t in (known.at, told.at) if t), default=None)
    later["said"] = said = _hear(known.identities, told.identities)
    later["by"] = said[0].by
    later |= {name: next((v for i in said if (v := getattr(i, name))), getattr(known, name)) for name in _WHO}
    return replace(known, **later)


def _hear(known: Sequence[Identity], told: Sequence[Identity]) -> tuple[Identity, ...]:
    """One identity for each teller, what they said last of it; those with a patient id first."""
    by = {identity.by: identity for identity in known}
    for identity in told:
        before = by.get(identity.by, identity)
        values = {name: value for name in _WHO if (value := getattr(identity, name))}
        by[identity.by] = replace(before, **values)
    ranked = sorted(by.values(), key=lambda i: (not i.patient_id, i.patient_id, i.by))
    apart = {tuple(getattr(i, name) for name in _WHO): i for i in reversed(ranked)}.values()
    kept = (*apart, *(i for i in ranked if i not in apart))[:MAX_IDENTITIES]  # the odd one out is never cut off
    return tuple(i for i in ranked if i in kept)


def measure(
    known: Sequence[Measured], measured: Sequence[Measured], *, sop_uid: str, replaces: Sequence[str] = ()
) -> tuple[Measured, ...]:
    """`known` with what one object holds: instead of what it replaces, and of earlier values of the same lesions."""
    gone = {sop_uid, *replaces}
    tracked = {(m.source, m.tracking, m.kind) for m in measured if m.tracking}
    kept = (m for m in known if m.sop_uid not in gone and (m.source, m.tracking, m.kind) not in tracked)
    return (*kept, *(replace(m, sop_uid=sop_uid) for m in measured))[-MAX_MEASURED:]


def fold_id(identifier: str) -> str:
    """A patient's identifier without what systems add and take away: spaces, leading zeros, case."""
    return "".join(identifier.split()).lstrip("0").upper()


def join_sides(sides: Sequence[str]) -> str:
    """`B` for left and right, or for both."""
    found = {side for side in sides if side}
    return found.pop() if len(found) == 1 else "B" if found else ""


def join_parts(parts: Sequence[str]) -> str:
    """Every body part that any of them names."""
    return _JOINED_BY.join(sorted({p for part in parts for p in split_parts(part)}))


def split_parts(body_part: str) -> frozenset[str]:
    """`CHEST, ABDOMEN` -> the two."""
    return frozenset(body_part.split(_JOINED_BY)) if body_part else frozenset()
