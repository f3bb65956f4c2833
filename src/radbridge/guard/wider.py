"""What the findings tell of a thing by another name than the draft: what it is a kind of, or a sign of it."""

from __future__ import annotations

from radbridge.draft import Section
from radbridge.entities import Entity, EntityText
from radbridge.guard.sites import is_compatible
from radbridge.guard.sources import Mention, Sources
from radbridge.text import read_words, stem


def find_wider(entity: Entity, draft: EntityText, sources: Sources, *, anywhere: bool = False) -> list[Mention]:
    """The affirmed mentions in the findings that `entity` may sum up; none where they name it, be it to deny it.

    Its place doesn't contradict them, unless they may be `anywhere`.
    Those that its own words hold come first: `possible metastasis` says more of a `liver metastasis` than `lesion`.
    """
    if sources.same(entity.concept):
        return []
    words = _read_stems(draft.text[entity.start : entity.end])
    findings = sources.findings
    there = [e for e in findings.entities if e.present and (anywhere or is_compatible(entity.place, e.around))]
    if alike := [e for e in there if _read_stems(findings.text[e.start : e.end]) < words]:
        return [Mention(section=Section.FINDINGS, entity=e) for e in alike]
    names = (entity.concept.name, *entity.concept.broader)
    spoken = {id(m.entity) for name in names for m in sources.supporting_name(name)}
    return [Mention(section=Section.FINDINGS, entity=e) for e in there if id(e) in spoken]


def _read_stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, read_words(text)))
