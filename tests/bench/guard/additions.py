"""Errors that are added: an invented finding, a critical one, a patient's name, what can't be at this sex or age."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from tests.bench.guard.change import Change, editable, insert
from tests.bench.guard.lists import cut, lines, look_up, words
from tests.bench.guard.reports import Report
from tests.bench.guard.sentences import named, other_names, topics

_SEX_SAID = re.compile(r"\b(?:fe)?male\b|\b(?:wo)?man\b|\bgirl\b|\bboy\b|\blady\b|\bgentleman\b", re.IGNORECASE)
_WRONG_SEX = {"F": ("M", "say_male"), "M": ("F", "say_female")}


def invent(report: Report, rng: Random) -> Iterator[Change]:
    """A finding of the report's own region that nothing in the report speaks of."""
    told = f"{report.findings} {report.impression} {report.indication}"
    region = _region(told)
    for line in _lines_of(region, "unsupported") if region else ():
        if _is_unknown(told, line):
            yield insert("unsupported/invented", report, line)


def add_critical(report: Report, rng: Random) -> Iterator[Change]:
    """A critical finding, true to findings and impression alike: to be routed first, not wrong."""
    for region, finding, said in _critical(report):
        change = insert(f"critical/{region}", report, said)
        yield replace(change, findings=f"{report.findings} {finding}")


def leave_unsaid(report: Report, rng: Random) -> Iterator[Change]:
    """A critical finding that only the findings tell of."""
    for _, _, said in _critical(report):
        findings = f"{report.findings} {said}"
        about = f"the findings hold {said!r}, the impression doesn't"
        yield Change(sub="omitted/critical-unsaid", start=0, end=0, text="", about=about, findings=findings)


def _critical(report: Report) -> Iterator[tuple[str, str, str]]:
    """Critical findings of the report's region, as findings and impression would say them, where neither does."""
    told = f"{report.findings} {report.impression}"
    region = _region(told)
    for line in _lines_of(region, "critical") if region else ():
        finding, said = cut(line)
        if _is_unknown(told, line) and "free air" not in told.lower():
            yield region["name"], finding, said


def _region(told: str) -> Mapping[str, Any]:
    """The region that most of the report is about; empty where no word tells of one."""
    said = re.findall(r"[a-z0-9-]+", told.lower())
    counts = [(sum(word in region["told_by"].split() for word in said), region) for region in look_up("regions")]
    most = max(count for count, _ in counts)
    return next((region for count, region in counts if most and count == most), {})


def _lines_of(region: Mapping[str, Any], key: str) -> list[str]:
    return [line.strip() for line in region[key].splitlines() if line.strip()]


def _is_unknown(told: str, line: str) -> bool:
    lower = told.lower()
    return not (topics(line) | named(line)) & (topics(told) | named(told)) and not any(
        name in lower for name in other_names(line)
    )


def contradict_sex_or_age(report: Report, rng: Random) -> Iterator[Change]:
    """Anatomy of the other sex, or what can't be said at this age."""
    if report.sex in _WRONG_SEX:
        other, table = _WRONG_SEX[report.sex]
        for line in lines(f"sex.{table}"):
            yield insert("sex_or_age/inserted", report, line)
        yield from _change_sex(report, other)
    if report.age is not None and report.age <= look_up("sex.too_young"):
        yield from _insert_of_age(report, "say_of_the_old")
    if report.age is not None and report.age >= look_up("sex.too_old"):
        yield from _insert_of_age(report, "say_of_the_young")


def _change_sex(report: Report, other: str) -> Iterator[Change]:
    """The case's sex, where the impression speaks of what only one sex has."""
    own = words("sex.female" if report.sex == "F" else "sex.male")
    if _SEX_SAID.search(f"{report.indication} {report.findings} {report.impression}"):
        return
    for sentence in editable(report):
        said = [w for w in re.findall(r"[a-z-]+", sentence.text.lower()) if w in own - {"cervix", "iud"}]
        if said:
            about = f"the case's sex became {other}, the impression says {said[0]!r}"
            yield Change(sub="sex_or_age/case", start=0, end=0, text="", about=about, sex=other)


def _insert_of_age(report: Report, table: str) -> Iterator[Change]:
    """Lines of the other end of life; sexed ones only for that sex, so that one thing alone is wrong."""
    female, male = words("sex.female"), words("sex.male")
    barred = {"F": male, "M": female}.get(report.sex, female | male)
    for line in lines(f"sex.{table}"):
        if barred.isdisjoint(re.findall(r"[a-z-]+", line.lower())):
            yield insert("sex_or_age/age", report, line)


def identify(report: Report, rng: Random) -> Iterator[Change]:
    """A name, a number or a date of birth, all made up."""
    filled = _invent_person(rng)
    for sub in ("name", "mrn", "birth_date"):
        for template in lines(f"identifiers.{sub}"):
            yield insert(f"identifier/{sub}", report, template.format_map(filled))


def _invent_person(rng: Random) -> dict[str, str]:
    given, family = (rng.choice(look_up(f"identifiers.{key}").split()) for key in ("given", "family"))
    year, month, day = rng.randint(1931, 2019), rng.randint(1, 12), rng.randint(1, 28)
    nhs = "".join(str(rng.randint(0, 9)) for _ in range(10))
    return {
        "given": given,
        "family": family,
        "GIVEN": given.upper(),
        "FAMILY": family.upper(),
        "initial": rng.choice("ABCDEGHJKLMPRST"),
        "title": rng.choice(look_up("identifiers.titles")),
        "number": str(rng.randint(100_000, 99_999_999)),
        "nhs": f"{nhs[:3]} {nhs[3:6]} {nhs[6:]}",
        "letters": rng.choice(("A", "RX", "CT", "ACC")),
        "us": f"{month:02}/{day:02}/{year}",
        "iso": f"{year}-{month:02}-{day:02}",
        "british": f"{day}/{month}/{year}",
        "dashed": f"{day:02}-{_MONTHS[month - 1][:3]}-{year}",
        "long": f"{_MONTHS[month - 1]} {day}, {year}",
    }


_MONTHS = """January February March April May June July August September October November December""".split()
