"""Errors of side, site, count, and of tubes and lines: a word of the impression becomes one that excludes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from random import Random

from tests.bench.guard.change import Change, editable, insert, swap
from tests.bench.guard.lists import alternatives, cut, holds, lines, look_up, phrase, replacements, words
from tests.bench.guard.reports import Report
from tests.bench.guard.sentences import named, negated, sharing, split, topics

_ONE_SIDED = re.compile(r"\s+(?:anterior descending|circumflex|main\b|gastric|colic|heart|atri|ventric|thyroidect)")
"""After "left" or "right" these make the name of a thing that has no twin of that name."""
_NAMED_ALIKE = re.compile(r"\s+(?:ganglia|nucle|cistern|vein of)")
"""After "basal" and the like: no place on a scale, but a part of the name."""
_CLAUSE = re.compile(r"[,;:]|\s(?:and|with|without|which|extending)\s")
_COUNTED = re.compile(r"(?:\s+[\w-]+){1,4}")


def swap_sides(report: Report, rng: Random) -> Iterator[Change]:
    """The other side, where the findings hold the thing on this side only."""
    for sentence in editable(report):
        for here, there in _both_ways(alternatives("sides.pairs")):
            for match in phrase(here).finditer(sentence.text):
                clause = _clause(sentence.text, match.start())
                alone = not holds(sentence.text, there) and not _ONE_SIDED.match(sentence.text, match.end())
                if alone and _on_one_side(report.findings, clause or sentence.text, here, there):
                    yield swap("laterality/swapped", sentence.start + match.start(), match.group(), there)


def _on_one_side(findings: str, said: str, here: str, there: str) -> bool:
    wanted = named(said) or topics(said)
    about = sharing(findings, wanted)
    supported = any(holds(s.text, here) and not negated(s.text) for s in about)
    doubtful = any(
        (holds(s.text, there) or not words("sides.both").isdisjoint(s.text.lower().split())) and not negated(s.text)
        for s in about
    )
    return supported and not doubtful


def _clause(text: str, place: int) -> str:
    """The part of a sentence around `place`."""
    cuts = [0, *(m.start() for m in _CLAUSE.finditer(text)), len(text)]
    part = next(text[a:b] for a, b in pairwise(cuts) if a <= place < b)
    return part if topics(part) else ""


def swap_sites(report: Report, rng: Random) -> Iterator[Change]:
    """Another lobe, level, segment, organ, bone or vessel, which the findings don't name anywhere."""
    for sentence in editable(report):
        yield from _swap_levels(report, sentence.text, sentence.start, rng)
        taken: set[int] = set()
        for sub, groups in _site_groups():
            for here, there in _both_ways(groups):
                for match in phrase(here).finditer(sentence.text):
                    if _NAMED_ALIKE.match(sentence.text, match.end()):
                        continue
                    if match.start() not in taken and _is_known(report, sentence.text, here, there):
                        taken.add(match.start())
                        yield swap(f"site/{sub}", sentence.start + match.start(), match.group(), there)


def _is_known(report: Report, said: str, here: str, there: str) -> bool:
    """Whether the findings say this place of this thing, and nothing holds the other place."""
    wanted = named(said) or topics(said)
    about = sharing(report.findings, wanted)
    there_too = holds(report.findings, there, there + "s") or holds(report.impression, there)
    return any(holds(s.text, here) for s in about) and not there_too and not negated(said)


_LEVEL = re.compile(r"\b([CTL])(\d{1,2})(?:(\s?[-/]\s?)([CTLS]?)(\d{1,2}))?\b")
_LAST = {"C": 7, "T": 12, "L": 5}


def _swap_levels(report: Report, said: str, start: int, rng: Random) -> Iterator[Change]:
    for match in _LEVEL.finditer(said):
        region, number = match.group(1), int(match.group(2))
        if number > _LAST[region] or match.group() not in report.findings or negated(said):
            continue
        for other in rng.sample(range(1, _LAST[region]), _LAST[region] - 1):
            level = f"{region}{other}"
            if match.group(3):
                level += f"{match.group(3)}{region if match.group(4) else ''}{other + 1}"
            if not re.search(rf"\b{region}{other}(?!\d)", report.findings) and other != number:
                yield swap("site/level", start + match.start(), match.group(), level)
                break


def swap_counts(report: Report, rng: Random) -> Iterator[Change]:
    """Another number of things, where the findings count them with the same word."""
    for sentence in editable(report):
        for said, wrong in replacements("counts.words"):
            for match in phrase(said).finditer(sentence.text):
                noun = _counted(sentence.text[match.end() :])
                if not noun or negated(sentence.text):
                    continue
                about = [s for s in split(report.findings) if holds(s.text, noun, noun + "s", noun.removesuffix("s"))]
                known = any(_counts(s.text, said, noun) for s in about)
                if known and not any(holds(s.text, wrong.removeprefix("a ")) for s in about):
                    yield swap(f"count/{said.replace(' ', '-')}", sentence.start + match.start(), match.group(), wrong)


def _counted(after: str) -> str:
    """The thing that a number before `after` counts."""
    near = _COUNTED.match(after)
    return next((w for w in near.group().lower().split() if w in words("counts.nouns")), "") if near else ""


def _counts(text: str, count: str, noun: str) -> bool:
    counted = (_counted(text[m.end() :]) for m in phrase(count).finditer(text))
    return any(c.removesuffix("s") == noun.removesuffix("s") for c in counted if c)


def swap_devices(report: Report, rng: Random) -> Iterator[Change]:
    """Another tube or line, its tip somewhere else, or a device that isn't there."""
    devices = words("devices.words")
    for sentence in editable(report):
        if devices.isdisjoint(re.findall(r"[a-z-]+", sentence.text.lower())) or negated(sentence.text):
            continue
        for table, sub in (("devices.groups", "wrong"), ("devices.tips", "tip")):
            for here, there in _both_ways(alternatives(table)):
                for match in phrase(here).finditer(sentence.text):
                    if holds(report.findings, here) and not holds(report.findings + report.impression, there):
                        yield swap(f"device/{sub}", sentence.start + match.start(), match.group(), there)
    yield from _invent_devices(report, devices)


def _invent_devices(report: Report, devices: frozenset[str]) -> Iterator[Change]:
    told = f"{report.findings} {report.impression} {report.indication}".lower()
    known = set(re.findall(r"[a-z-]+", told))
    for line in lines("devices.invented"):
        own = devices & set(re.findall(r"[a-z-]+", line.lower()))
        if own and known.isdisjoint(own):
            yield insert("device/invented", report, line)


@cache
def _both_ways(groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, str], ...]:
    """Every ordered pair of every group, the longest phrase first."""
    pairs = ((here, there) for group in groups for here in group for there in group if here != there)
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


@cache
def _site_groups() -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """Each sub-kind's groups."""
    return tuple((table["sub"], tuple(cut(line) for line in table["groups"])) for table in look_up("sites"))
