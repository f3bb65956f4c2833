"""Which words of another patient's report may stand in this one's draft.

A report says more than findings: whom somebody called, what was removed, what to do in three months, a date. None of it
is true of another patient. So a text from elsewhere passes only when each of its words is one that this case's findings
hold, or names what they name, or belongs to the few that say that there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from radbridge.candidates.normality import Normality
from radbridge.entities import CRITICAL, Certainty, Entity, read_entities
from radbridge.entities.labels import label_entities
from radbridge.text import content_words, drop_list_numbers, stem

_NOTHING = frozenset(
    map(
        stem,
        """abnormality abnormal acute active disease evidence finding focal identified illness limits negative
        normal otherwise pathology process seen significant unremarkable visible visualized clear
        appearance exam examination film imaging radiograph radiographs radiographic scan study view
        abdomen abdominal bony brain cardiac cardiopulmonary cardiothoracic cervical chest head heart intraabdominal
        intracranial intrathoracic lumbar lung musculoskeletal osseous pelvic pelvis pleural pulmonary skeletal spinal
        spine thoracic thorax""".split(),
    )
)
"""Stems that say that a region shows nothing. None tells of a person, a time, a change, a side, a degree or an act."""
_CLEAR = stem("clear")
_ABSENT_WHERE_CLEAR = frozenset(("consolidation", "opacity", "pneumonia"))
"""What clear lungs don't have, so that it may be denied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a case holds: what another report's text is held to. A question is no finding: it may only be denied."""

    words: frozenset[str]
    """Of the findings."""
    labels: frozenset[str]
    """What the findings say is there."""
    here: frozenset[str]
    """The concepts that the findings don't deny, with what they are kinds of: now or before."""
    spoken_of: frozenset[str]
    """The concepts of findings and indication, however they are put, with what they are kinds of."""
    is_critical: bool
    """Whether the findings hold something that somebody must be told of at once."""
    normality: Normality

    @classmethod
    def read(cls, findings: str, indication: str) -> Told:
        """The words and findings of a case."""
        found, asked = read_entities(findings).entities, read_entities(indication).entities
        return cls(
            words=frozenset(content_words(findings)),
            labels=label_entities(found),
            here=frozenset(name for e in found if e.certainty > Certainty.DENIED for name in _family(e)),
            spoken_of=frozenset(name for e in (*found, *asked) for name in _family(e)),
            is_critical=any(e.present and e.concept.tier >= CRITICAL for e in found),
            normality=Normality.read(findings, found),
        )

    def covers(self, text: str) -> bool:
        """Whether `text`, signed for another patient, says nothing that isn't of this case too."""
        entities = read_entities(text).entities
        if not all(map(self._knows, entities)) or (self.is_critical and not any(e.present for e in entities)):
            return False
        named = {word for e in entities for word in content_words(text[e.start : e.end]) if word.isalpha()}
        said = set(content_words(drop_list_numbers(text)))
        return said <= self.words | named | _NOTHING and self.normality.allows(text)

    def _knows(self, entity: Entity) -> bool:
        """What is there must be there in this case; what is denied must be spoken of, and not be there."""
        if labels := label_entities((entity,)):
            return labels <= self.labels
        if entity.certainty > Certainty.DENIED:
            return entity.concept.name in self.here
        is_clear = _CLEAR in self.words and entity.concept.name in _ABSENT_WHERE_CLEAR
        is_spoken_of = is_clear or not self.spoken_of.isdisjoint(_family(entity))
        return is_spoken_of and self.here.isdisjoint(_family(entity))


def _family(entity: Entity) -> Iterator[str]:
    yield entity.concept.name
    yield from entity.concept.broader
