"""Labels: what a text says is there, in about a hundred and twenty words, so that two texts can be compared."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from radbridge.entities.entity import Entity, Trend
from radbridge.entities.lexicon import Concept
from radbridge.entities.reading import read_entities

_GONE = frozenset((Trend.RESOLVED, Trend.PAST))
_SPECIFIC = ("chexpert", "chest", "body")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelTable:
    """The labels, and how a concept comes to one."""

    groups: Mapping[str, tuple[str, ...]]
    """`chexpert`, `chest`, `body` and `general`: the names of their labels, in order."""
    specific: Mapping[str, frozenset[str]]
    """The labels of a concept, by its name."""
    general: Mapping[str, frozenset[str]]
    """Those that count only where no specific one does."""
    sited: Mapping[str, Mapping[str, str]]
    """Under a general label: the specific one that it is at a site."""


@cache
def load_labels() -> LabelTable:
    """The packaged table."""
    table = tomllib.loads(files(__package__).joinpath("labels.toml").read_text(encoding="utf-8"))
    groups = {name: tuple(table[name]) for name in (*_SPECIFIC, "general")}
    return LabelTable(
        groups=groups,
        specific=_turn({k: v for name in _SPECIFIC for k, v in table[name].items()}),
        general=_turn(table["general"]),
        sited=table["sited"],
    )


def label_names() -> tuple[str, ...]:
    """Every label, CheXpert's first."""
    return tuple(name for group in load_labels().groups.values() for name in group)


def chexpert_names() -> tuple[str, ...]:
    """The 13 findings of CheXpert."""
    return load_labels().groups["chexpert"]


def read_labels(text: str) -> frozenset[str]:
    """The labels of what `text` says is there now, if only possibly. What is past or has resolved doesn't count."""
    return label_entities(read_entities(text).entities)


def label_entities(entities: Iterable[Entity]) -> frozenset[str]:
    """The labels of the entities that are there now."""
    return frozenset(name for e in entities if e.present and _GONE.isdisjoint(e.trends) for name in _name(e))


def _name(entity: Entity) -> Iterator[str]:
    labels = load_labels()
    if specific := _find(entity.concept, labels.specific):
        yield from specific
        return
    places = [name for site in entity.place.sites for name in (site.name, *site.within)]
    for label in _find(entity.concept, labels.general):
        sited = labels.sited.get(label, {})
        yield next((sited[place] for place in places if place in sited), label)


def _find(concept: Concept, labels: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The labels that name the concept, else those that name what it is a kind of."""
    return labels.get(concept.name) or frozenset[str]().union(*(labels.get(b, ()) for b in concept.broader))


def _turn(concepts: Mapping[str, list[str]]) -> Mapping[str, frozenset[str]]:
    """The labels by concept, from the concepts by label."""
    turned: dict[str, set[str]] = {}
    for label, names in concepts.items():
        for name in names:
            turned.setdefault(name, set()).add(label)
    return {name: frozenset(found) for name, found in turned.items()}
