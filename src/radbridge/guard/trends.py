"""Comparison: better isn't worse, and what changes needs something to compare it with."""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.draft import Flag, FlagKind, Section, Severity
from radbridge.entities import Entity, EntityText, Statement, Trend
from radbridge.guard.likeness import read_context
from radbridge.guard.sources import Sources, flag
from radbridge.guard.wider import find_wider
from radbridge.text import read_words

_COMPARES = frozenset(
    """unchanged stable worsened worsening improved improving improvement progressed progression enlarging previous
    previously prior""".split()
)
"""Words that say something only beside an earlier study."""
_PRIOR = _COMPARES | frozenset(
    """interval comparison compared since again new newly persistent persists residual still remains remain remained
    redemonstrated earlier resolved resolution resolving continued continues changed increased decreased larger smaller
    increasing decreasing similar""".split()
)
_NONE = frozenset(("no", "none", "not", "n", "na", "nil", "unavailable", "without"))
"""How the comparison begins when there is none."""
_AGAINST: dict[Trend, frozenset[Trend]] = {
    Trend.BETTER: frozenset((Trend.WORSE, Trend.STABLE, Trend.NEW)),
    Trend.WORSE: frozenset((Trend.BETTER, Trend.STABLE, Trend.RESOLVED)),
    Trend.STABLE: frozenset((Trend.BETTER, Trend.WORSE, Trend.NEW, Trend.RESOLVED)),
    Trend.NEW: frozenset((Trend.KNOWN, Trend.STABLE, Trend.BETTER)),
    Trend.KNOWN: frozenset((Trend.NEW, Trend.RESOLVED)),
    Trend.RESOLVED: frozenset((Trend.STABLE, Trend.WORSE, Trend.NEW)),
}
"""What can't be true beside it."""


def check_trends(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing whose course the findings tell otherwise."""
    compared: set[tuple[int, Trend]] = set()
    for entity in draft.entities:
        if entity.trends.isdisjoint(_AGAINST):
            continue
        named = sources.same(entity.concept) or find_wider(entity, draft, sources)
        told = [m for m in named if not m.entity.trends.isdisjoint(_AGAINST)]
        told_trends = frozenset[Trend]().union(*(m.entity.trends for m in told)) or _all_trends(sources)
        for trend in sorted(entity.trends & _AGAINST.keys()):
            if told_trends:
                compared.add((entity.statement, trend))
            if _is_against(trend, told_trends) and trend not in _tell_alike(draft, entity, sources):
                yield _flag(entity, trend, sources)
    for number, statement in enumerate(draft.statements):
        for change in statement.told.changes:
            if (number, change[2]) not in compared:
                yield from _check_change(statement, change, sources)


def _check_change(statement: Statement, change: tuple[int, int, Trend], sources: Sources) -> Iterator[Flag]:
    """A flag where the statement of the sources that is most like this one tells another course."""
    start, end, trend = change
    context = read_context(statement, range(start, end))
    if _is_against(trend, _find_trends(context, sources)):
        places = statement.phrasing.places
        message = f"the draft says {' '.join(statement.phrasing.words[start:end])!r}, the findings don't"
        yield flag(FlagKind.COMPARISON, Severity.WARNING, message, [(places[start][0], places[end - 1][1])])


def _tell_alike(draft: EntityText, entity: Entity, sources: Sources) -> frozenset[Trend]:
    """What the statement of the sources that is most like the entity's tells, be it of a wider concept."""
    return _find_trends(read_context(draft.statements[entity.statement], ()), sources)


def _find_trends(context: frozenset[str], sources: Sources) -> frozenset[Trend]:
    alike = sources.likeness.find(context, lambda s: s.told.trends)
    return frozenset[Trend]().union(*(s.told.trends for s in alike))


def check_prior(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """A flag where the draft compares though no prior is named anywhere."""
    named = read_words(sources.texts[Section.COMPARISON].text)
    if named and named[0] not in _NONE:
        return
    found = ((s, used) for s in draft.statements for used in _find_comparisons(s))
    if (first := next(found, None)) and not _tells_of_before(sources):
        statement, (start, end) = first
        places = statement.phrasing.places
        message = f"the draft says {' '.join(statement.phrasing.words[start:end])!r}, and no prior study is named"
        yield flag(FlagKind.COMPARISON, Severity.WARNING, message, [(places[start][0], places[end - 1][1])])


def _find_comparisons(statement: Statement) -> Iterator[tuple[int, int]]:
    """The words that compare: `has increased` does, where `increased` may describe (`increased density`)."""
    for start, end, trend in statement.told.changes:
        if trend in (Trend.STABLE, Trend.KNOWN) or end - start > 1:
            yield start, end
    yield from ((at, at + 1) for at, word in enumerate(statement.phrasing.words) if word in _COMPARES)


def _tells_of_before(sources: Sources) -> bool:
    """Whether the findings or the clinical information compare, so that there is an earlier study, named or not."""
    statements = (s for at in (Section.FINDINGS, Section.INDICATION) for s in sources.texts[at].statements)
    return any(s.told.changes or not _PRIOR.isdisjoint(s.phrasing.words) for s in statements)


def _is_against(trend: Trend, told: frozenset[Trend]) -> bool:
    return trend not in told and not told.isdisjoint(_AGAINST.get(trend, ()))


def _all_trends(sources: Sources) -> frozenset[Trend]:
    """Of statements that mention nothing: `It has increased in size`."""
    return frozenset[Trend]().union(*(s.told.trends for s in sources.findings.statements if not s.told.entities))


def _flag(entity: Entity, trend: Trend, sources: Sources) -> Flag:
    told = [m for m in sources.same(entity.concept) if m.entity.trends]
    return flag(
        FlagKind.COMPARISON,
        Severity.WARNING,
        f"the draft calls {entity.concept.plain} {trend}, the findings don't",
        [(entity.start, entity.end)],
        [m.span for m in told[:1]],
    )
