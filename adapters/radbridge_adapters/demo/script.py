"""The demo's cases, and what their radiologists do with a draft."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from pydantic import TypeAdapter


class Signs(StrEnum):
    """What the radiologist does with the draft."""

    ACCEPT = "accept"
    EDIT = "edit"
    REWRITE = "rewrite"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoRadiologist:
    """A signer, and the persona whose style the embedded model writes for them."""

    id: str
    name: str
    persona: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoCase:
    """One made-up study with its report in progress."""

    slug: str
    radiologist: str
    modality: str
    code: str
    procedure: str
    patient: str
    sex: str
    born: int
    patient_class: str
    reason: str
    technique: str
    comparison: str
    findings: str
    signs: Signs
    impression: str
    adds: str = ""

    def sign(self, draft: str) -> str:
        """The impression as its radiologist signs it, made from `draft`."""
        match self.signs:
            case Signs.ACCEPT:
                return draft
            case Signs.REWRITE:
                return self.impression
            case Signs.EDIT:
                return _edit(draft, self.adds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """All of it."""

    radiologists: tuple[DemoRadiologist, ...]
    cases: tuple[DemoCase, ...]

    def radiologist(self, case: DemoCase) -> DemoRadiologist:
        """Who signs `case`."""
        return next(r for r in self.radiologists if r.id == case.radiologist)


def load_script() -> Script:
    """The script that ships with the package."""
    table = tomllib.loads((files(__package__) / "cases.toml").read_text(encoding="utf-8"))
    for case in table["cases"]:
        case["patient_class"] = case.pop("class")
        for name in ("findings", "impression"):
            case[name] = case[name].strip()
    return TypeAdapter(Script).validate_python(table)


def _edit(draft: str, adds: str) -> str:
    """A light hand: "there is" goes, and `adds` comes behind, numbered where the draft is."""
    lines = [re.sub(r"\bThere (?:is|are) (?:an? )?(\w)", _capital, line) for line in draft.splitlines()]
    if re.match(r"\s*\d+[.)]", lines[-1] if lines else ""):
        return "\n".join([*lines, f"{len(lines) + 1}. {adds}"])
    return " ".join(["\n".join(lines), adds]).strip()


def _capital(match: re.Match[str]) -> str:
    return match[1].upper()
