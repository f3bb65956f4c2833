"""What is said in a torture run: a RIS's messages, each of which tells which save of which case it is, and answers.

The size of the nodule is the number of the save, the series the number of the case. So a draft in the hands of a
destination tells what it was made from, and nobody has to ask the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

END = b"\x1c\r"
POSITIVE = ("AA", "CA")
DESTINATIONS = ("steady", "rude", "liar")
"""Who gets drafts."""
LEAST_MM = 3
"""The size that stands for the first save."""
SERIES = 500
"""Added to a case's number, or the guard would take the series for the accession."""

_SIZE = re.compile(r"(\d+) mm")
_SERIES = re.compile(r"[Ss]eries (\d+)")


def frame(payload: bytes) -> bytes:
    """One MLLP block."""
    return b"\x0b" + payload + END


def accession_of(case: int) -> str:
    """A case's accession number."""
    return f"T{case:06d}"


def is_second(accession: str) -> bool:
    """Whether it is the second of two cases that are dictated together: a RIS gives odd numbers to these alone."""
    return accession[-1:] in "13579" and accession != ""


def first_of(accession: str) -> str:
    """The first of the two."""
    return accession_of(int(accession[1:]) - 1)


def findings_of(case: int, save: int) -> str:
    """What is dictated."""
    return (
        f"There is a {save + LEAST_MM} mm nodule in the right upper lobe. The heart is normal in size. "
        f"Series {case + SERIES}. No pneumothorax."
    )


def save_of(text: str) -> int:
    """The save that a text tells of; 0 where it tells of none."""
    found = _SIZE.search(text)
    return int(found[1]) - LEAST_MM if found else 0


def case_of(findings: str) -> int:
    """The case that findings are of; -1 where they don't tell."""
    found = _SERIES.search(findings)
    return int(found[1]) - SERIES if found else -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message that a RIS has to get acknowledged."""

    control: str
    kind: str
    saves: Mapping[int, int]
    """Case -> its save; 0 in an order."""
    raw: bytes


def order(cases: Sequence[int], *, ris: str) -> Said:
    """ORM^O01, of one case or of several of the same patient."""
    groups = [
        segment
        for n, case in enumerate(cases, 1)
        for segment in (
            f"ORC|NW|{accession_of(case)}|{accession_of(case)}",
            (
                f"OBR|{n}|{accession_of(case)}|{accession_of(case)}|71260^CT CHEST^C4|||20260301090000|||||||||||"
                f"{accession_of(case)}||||||CT|||||||^Cough"
            ),
        )
    ]
    return _said("ORM^O01", "O", dict.fromkeys(cases, 0), groups, ris)


def dictated(saves: Mapping[int, int], *, ris: str) -> Said:
    """ORU^R01 of unsigned reports: one case, or several that are read together."""
    return _said("ORU^R01^ORU_R01", "D", saves, _results(saves, "R"), ris)


def signed(saves: Mapping[int, int], *, ris: str) -> Said:
    """ORU^R01 of signed reports."""
    return _said("ORU^R01^ORU_R01", "F", saves, _results(saves, "F"), ris)


def _results(saves: Mapping[int, int], status: str) -> list[str]:
    segments = []
    for n, (case, save) in enumerate(saves.items(), 1):
        number = accession_of(case)
        segments += [
            f"ORC|RE|{number}|{number}",
            (
                f"OBR|{n}|{number}|{number}|71260^CT CHEST^C4|||20260301090000|||||||||||"
                f"{number}||||20260301093000||CT|{status}|||||||{1000 + case % 7}&HOUSE&GREGORY"
            ),
            f"OBX|1|TX|59776-5^Findings^LN||{findings_of(case, save)}||||||{status}",
        ]
        if status == "F":
            segments.append(f"OBX|2|TX|19005-8^Impression^LN||{save + LEAST_MM} mm nodule.||||||F")
    return segments


def _said(kind: str, tag: str, saves: Mapping[int, int], segments: Sequence[str], ris: str) -> Said:
    first = min(saves)
    control = f"{ris}{first}{tag}{'-'.join(map(str, saves.values()))}"
    head = f"MSH|^~\\&|{ris}|HOSP|RADBRIDGE|HOSP|20260301093000||{kind}|{control}|P|2.5.1"
    who = f"PID|1||{900000 + first}^^^HOSP^MR||DOE^JANE||19700101|F"
    raw = "\r".join((head, who, "PV1|1|O", *segments, "")).encode()
    return Said(control=control, kind=f"{kind[:3]}{tag}", saves=saves, raw=raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A message that came to a destination."""

    control: str
    accession: str
    is_withdrawal: bool
    save: int


def hear(raw: bytes) -> Heard:
    """What a destination reads of a draft, without any of RadBridge's code."""
    segments = [line.split("|") for line in raw.decode("utf-8", "replace").split("\r") if line]
    lines = [s for s in segments if s[0] == "OBX"]
    return Heard(
        control=next((s[9] for s in segments if s[0] == "MSH"), ""),
        accession=next((s[18] for s in segments if s[0] == "OBR" and len(s) > 18), ""),
        is_withdrawal=all(s[11] == "D" for s in lines),
        save=max((save_of(s[5]) for s in lines), default=0),
    )


def answer_of(raw: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2 of an answer; empty where it is none."""
    for line in raw.decode("utf-8", "replace").split("\r"):
        parts = line.split("|")
        if parts[0] == "MSA" and len(parts) > 2:
            return parts[1], parts[2]
    return "", ""


def answer(control: str, code: str, number: int) -> bytes:
    """A destination's answer."""
    return (
        f"MSH|^~\\&|DICTATION||RADBRIDGE||20260301093000||ACK^R01^ACK|K{number}|P|2.5.1\rMSA|{code}|{control}\r"
    ).encode()
