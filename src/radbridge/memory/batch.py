"""The style memory of a file of signed reports, for drafting in batches without a journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from radbridge.case import Patient
from radbridge.deidentify import scrub
from radbridge.example import MAX_EXAMPLE_CHARS, StyleExample
from radbridge.jsonl import Faults, read_rows
from radbridge.memory.memory import StyleMemory
from radbridge.memory.remembered import name_of
from radbridge.memory.wording import keep_style

Said = Annotated[str, Field(pattern=r"\S")]
_KEY = b"a file of signed reports"
"""For what scrubbing hides by moving it: the same in every run."""
_SCRUBBED = 4_096
"""Examples whose scrubbed text is kept: the same ones are wanted again and again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedReport:
    """A line of the file. Rows without a radiologist are one radiologist's."""

    findings: Said = field(repr=False)
    impression: Said = field(repr=False)
    id: str = ""
    radiologist: str = ""


_SIGNED = TypeAdapter(SignedReport)


class FileMemory:
    """Signed reports of a file, each under the number of its line: the later, the newer."""

    def __init__(self, file: Path) -> None:
        """Read them all. Raises ConfigError with the lines that can't be read."""
        faults = Faults()
        self._reports: dict[int, SignedReport] = {}
        self._index = StyleMemory()
        self._numbers: dict[str, set[int]] = {}
        """By id."""
        for number, report in read_rows(file, _SIGNED, faults=faults):
            self._reports[number] = report
            self._index.keep(number, report.radiologist, report.findings[:MAX_EXAMPLE_CHARS])
            if report.id:
                self._numbers.setdefault(report.id, set()).add(number)
        faults.settle()
        self._example = lru_cache(maxsize=_SCRUBBED)(self._write)

    @property
    def version(self) -> str:
        """The memory's state, as with one that grows."""
        return self._index.version

    def examples(
        self, *, id: str, radiologist: str, findings: str, alike: int, newest: int
    ) -> tuple[StyleExample, ...]:
        """What the radiologist signed of this kind, then what they signed last; never the case's own report."""
        own = frozenset(self._numbers.get(id, ()))
        numbers = self._index.alike(radiologist, findings[:MAX_EXAMPLE_CHARS], alike, without=own)
        numbers += self._index.newest(radiologist, newest, without=own | set(numbers))
        return tuple(example for number in numbers if (example := self._example(number)) is not None)

    def _write(self, number: int) -> StyleExample | None:
        """A report without what identifies anybody; None when nothing is left. Nobody told whose it is."""
        report = self._reports[number]
        findings, impression = _clean(report.findings), _clean(report.impression)
        return StyleExample(id=name_of(number), findings=findings, impression=impression) if impression else None


def _clean(text: str) -> str:
    """The patterns have to do: no patient is told."""
    return keep_style(text, scrub(text, patient=Patient(), key=_KEY))[:MAX_EXAMPLE_CHARS].strip()
