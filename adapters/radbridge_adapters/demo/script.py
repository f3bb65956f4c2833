"""The demo's cases, and what their radiologists do with a draft."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
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
    replaces: Mapping[str, str] = field(default_factory=dict)
    adds: str = ""

    def sign(self, draft: str) -> str:
        """The impression as its radiologist signs it, made from `draft`."""
        match self.signs:
            case Signs.ACCEPT:
                return draft
            case Signs.REWRITE:
                return self.impression
            case Signs.EDIT:
                return _add(_replace(draft, self.replaces), self.adds)


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


def _replace(draft: str, phrases: Mapping[str, str]) -> str:
    """`draft` in the radiologist's own words; a phrase that stands first in its sentence stays capitalised."""
    for phrase, own in phrases.items():
        draft = re.sub(re.escape(phrase), partial(_like, own=own), draft, flags=re.IGNORECASE)
    return draft


def _like(said: re.Match[str], own: str) -> str:
    return own[:1].upper() + own[1:] if said.group()[:1].isupper() else own


def _add(text: str, sentence: str) -> str:
    """`sentence` behind `text`, as the next item where that is a numbered list."""
    lines = text.splitlines()
    if re.match(r"\s*\d+[.)]", lines[-1] if lines else ""):
        return "\n".join([*lines, f"{len(lines) + 1}. {sentence}"])
    return f"{text} {sentence}".strip()
