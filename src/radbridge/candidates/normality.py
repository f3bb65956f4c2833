"""Where a text from elsewhere may say that there is nothing: not beside findings that say that there is something.

`No acute disease` stands in most reports of many sites, and so it comes in with whatever is like them. Beside a
pleural effusion it would tell the next reader that the effusion is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from radbridge.entities import MAJOR, Entity, read_entities
from radbridge.entities.labels import label_entities
from radbridge.text import content_words, drop_list_numbers, split_sentences, stem

_ACUTE = frozenset(map(stem, ("acute", "active")))
_REST = frozenset(map(stem, ("other", "otherwise")))
_SIDES = frozenset(map(stem, ("left", "right")))
_ANYTHING = frozenset(map(stem, "abnormality disease finding illness pathology process".split()))
_LASTING = frozenset(
    """adrenal_lesion aneurysm arterial_narrowing atelectasis bone_lesion brain_atrophy breast_calcification
    cardiomegaly constipation coronary_disease degeneration dilation disc_herniation diverticulosis emphysema
    gallstone granuloma hiatal_hernia interstitial_disease liver_disease liver_lesion low_volume lung_lesion
    lung_scar lymphadenopathy mass pulmonary_hypertension renal_cyst scar small_vessel_disease spinal_degeneration
    spinal_stenosis support_devices thyroid urinary_stone""".split()
)
"""Labels of what may be there for years: a report tells of it and says that nothing is acute. The others may not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Normality:
    """What may be called normal in a case."""

    sentences: tuple[frozenset[str], ...]
    """The words of each sentence of the findings: what one of them says may be said again."""
    is_abnormal: bool
    """Whether something of weight is there."""
    is_acute: bool
    """Whether it may be of these days."""

    @classmethod
    def read(cls, findings: str, found: Iterable[Entity]) -> Normality:
        """Of the findings, and what was read in them."""
        weighty = [labels for e in found if e.concept.tier >= MAJOR and (labels := label_entities((e,)))]
        return cls(
            sentences=tuple(frozenset(content_words(sentence)) for sentence in split_sentences(findings)),
            is_abnormal=bool(weighty),
            is_acute=any(not labels <= _LASTING for labels in weighty),
        )

    def allows(self, text: str) -> bool:
        """Whether every sentence that says that there is nothing may stand beside the findings."""
        return all(map(self._allows, split_sentences(text)))

    def _allows(self, sentence: str) -> bool:
        words = frozenset(content_words(drop_list_numbers(sentence)))
        is_nothing_acute = not (words.isdisjoint(_ACUTE) or words.isdisjoint(_ANYTHING))
        names_something = bool(read_entities(sentence).entities)
        if not words.isdisjoint(_REST) or (names_something and not is_nothing_acute):
            return True
        is_barred = self.is_acute or (self.is_abnormal and words.isdisjoint(_ACUTE))
        return not is_barred or self._is_stated(words)

    def _is_stated(self, words: frozenset[str]) -> bool:
        """Whether a sentence of the findings says it, and not of one side alone."""
        return any(words <= said and said & _SIDES <= words for said in self.sentences)
