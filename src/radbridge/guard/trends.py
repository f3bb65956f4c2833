"""Comparison: better isn't worse, and what changes needs something to compare it with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from radbridge.draft import Flag, FlagKind, Section, Severity
from radbridge.entities import Entity, EntityText, Trend
from radbridge.guard.sources import Sources, flag
from radbridge.text import locate_words, read_words

_COMPARES = frozenset(
    """unchanged stable worsened worsening improved improving improvement progressed progression enlarging interval
    previous previously prior""".split()
)
"""Words that say something only beside an earlier study."""
_PRIOR = _COMPARES | frozenset(
    """comparison compared old chronic since again new newly persistent persists residual increased decreased larger
    smaller change changed changes still remains remain redemonstrated earlier recent recently resolved resolution
    resolving increasing decreasing remained continued continues""".split()
)
_NONE = frozenset(("no", "none", "not", "n", "na", "nil", "unavailable", "without"))
"""How the comparison begins when there is none."""
_AGAINST: dict[Trend, frozenset[Trend]] = {
    Trend.BETTER: frozenset((Trend.WORSE, Trend.STABLE, Trend.NEW)),
    Trend.WORSE: frozenset((Trend.BETTER, Trend.STABLE, Trend.RESOLVED)),
    Trend.STABLE: frozenset((Trend.BETTER, Trend.WORSE, Trend.NEW, Trend.RESOLVED)),
    Trend.NEW: frozenset((Trend.STABLE, Trend.BETTER)),
}
"""What can't be true beside it."""


def check_trends(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing whose course the findings tell otherwise."""
    for entity in draft.entities:
        told = [m for m in sources.same(entity.concept) if not m.entity.trends.isdisjoint(_AGAINST)]
        told_trends = frozenset[Trend]().union(*(m.entity.trends for m in told)) or _all_trends(sources)
        for trend in sorted(entity.trends & _AGAINST.keys()):
            if trend not in told_trends and not told_trends.isdisjoint(_AGAINST[trend]):
                yield _flag(entity, trend, sources)


def check_prior(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """A flag where the draft compares though no prior is named anywhere."""
    named = read_words(sources.texts[Section.COMPARISON].text)
    if named and named[0] not in _NONE:
        return
    words, places = locate_words(draft.text)
    used = next((i for i, w in enumerate(words) if w in _COMPARES), None)
    told = chain(*(read_words(sources.texts[s].text) for s in (Section.FINDINGS, Section.INDICATION)))
    if used is not None and _PRIOR.isdisjoint(told):
        message = f"the draft says {words[used]!r}, and no prior study is named"
        yield flag(FlagKind.COMPARISON, Severity.WARNING, message, [places[used]])


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
