"""What could be written for a case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from radbridge.candidates.borrowing import Told
from radbridge.candidates.candidate import Candidate, ReadText, Source, read_text
from radbridge.candidates.pool import Neighbour, SitePool
from radbridge.coarse import draft_coarse
from radbridge.coarse.question import read_question
from radbridge.coarse.reader import read_findings
from radbridge.retrieval.overlap import medoid
from radbridge.text import MAX_CHARS, drop_list_numbers

NEIGHBOURS = 40
"""Reports whose impressions are candidates."""
_LEAST_LIKE = 0.1
"""The cosine below which a report has nothing to do with the case."""
_TEMPLATES = 10
"""Nearest impressions without a finding among which the most usual wording is looked for."""
_NO_DISEASE = re.compile(r"^(?:No|Negative for)(?: evidence of)? (?P<disease>(?:acute|active) [a-z ]+)\.$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What is known of a case besides its findings."""

    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    modality: str = ""
    sex: str = ""
    age: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Findings with everything that could be written for them."""

    findings: ReadText
    indication: ReadText
    neighbours: tuple[Neighbour, ...]
    coarse: ReadText
    """What the findings themselves state."""
    candidates: tuple[Candidate, ...]
    """No text twice; none where the findings state nothing and nothing like them was signed."""


def gather(pool: SitePool, findings: str, context: Context, *, without: int | None = None) -> Case:
    """The candidates for a case. `without` is the number of its own report, where the pool holds that.

    Another report's text is a candidate only where `Told` covers it: nothing else of another patient comes in. And no
    study with a critical finding is called normal. Findings beyond `MAX_CHARS` aren't read.
    """
    findings = findings[:MAX_CHARS]
    told = Told.read(findings, context.indication)
    neighbours = tuple(n for n in pool.nearest(findings, NEIGHBOURS, without=without) if n.likeness >= _LEAST_LIKE)
    coarse = draft_coarse(
        findings,
        indication=context.indication,
        comparison=context.comparison,
        modality=context.modality,
        sex=context.sex,
        age=context.age,
    )
    found = [Candidate(read=read_text(coarse.text), source=Source.COARSE)] if coarse.text else []
    found += (_retrieve(neighbour) for neighbour in neighbours if told.covers(neighbour.report.impression))
    retrieved = [candidate.read for candidate in found if candidate.source is Source.RETRIEVED]
    template = "" if told.is_critical else _find_template(retrieved)
    stated = read_findings(findings, read_question(context.indication))
    for statements in (coarse.statements, stated, sorted(stated, key=lambda s: -s.score)[:1]):
        found += _compose([s.text for s in statements if read_text(s.text).labels], template)
    once: dict[str, Candidate] = {}
    for candidate in found:
        once.setdefault(candidate.text, candidate)
    return Case(
        findings=read_text(findings),
        indication=read_text(context.indication),
        neighbours=neighbours,
        coarse=read_text(coarse.text),
        candidates=tuple(once.values()),
    )


def _retrieve(neighbour: Neighbour) -> Candidate:
    return Candidate(read=read_text(neighbour.report.impression), source=Source.RETRIEVED, likeness=neighbour.likeness)


def _find_template(retrieved: Sequence[ReadText]) -> str:
    """How the nearest reports that name no finding say so; empty where none does."""
    plain = [read for read in retrieved if not read.labels][:_TEMPLATES]
    if not plain:
        return ""
    usual = drop_list_numbers(plain[medoid([read.words for read in plain])].text).strip()
    return f"{usual.rstrip(' .')}."


def _compose(stated: Sequence[str], template: str) -> Iterator[Candidate]:
    """The findings' own statements alone, as a list, and beside how the site says that there is nothing else."""
    if not stated:
        return
    joined = " ".join(stated)
    for text in (joined, *([_number(stated)] if len(stated) > 1 else [])):
        yield Candidate(read=read_text(text), source=Source.COARSE)
    if not template:
        return
    lists = (_number([template, *stated]), _number([*stated, template]))
    without = _NO_DISEASE.match(template) if len(stated) == 1 else None
    one = [f"{joined.rstrip('.')} without {without['disease']}."] if without else []
    for text in (f"{template} {joined}", f"{joined} {template}", *lists, *one):
        yield Candidate(read=read_text(text), source=Source.RETRIEVED)


def _number(statements: Sequence[str]) -> str:
    return " ".join(f"{number}. {text}" for number, text in enumerate(statements, 1))
