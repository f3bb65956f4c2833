"""What a report mentions: findings and devices, with their site, side, size, certainty, degree, number and trend."""

from radbridge.entities.entity import MANY, Certainty, Entity, Place, Trend
from radbridge.entities.lexicon import CRITICAL, EXPECTED, MAJOR, MINOR, Concept, Lexicon, Site, load_lexicon
from radbridge.entities.measures import Measure, read_measures
from radbridge.entities.phrasing import SIDES
from radbridge.entities.reading import EntityText, Statement, read_entities

__all__ = [
    "CRITICAL",
    "EXPECTED",
    "MAJOR",
    "MANY",
    "MINOR",
    "SIDES",
    "Certainty",
    "Concept",
    "Entity",
    "EntityText",
    "Lexicon",
    "Measure",
    "Place",
    "Site",
    "Statement",
    "Trend",
    "load_lexicon",
    "read_entities",
    "read_measures",
]
