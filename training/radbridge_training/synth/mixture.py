"""What generated reports are made of: which studies, how many of each, who reads them, how strange the words are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

from radbridge_training.synth.grammar import regions
from radbridge_training.synth.persona import NAMED, Persona
from radbridge_training.synth.words import load_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A kind of examination, as departments count them: MRA is one of its own."""

    name: str
    modality: str
    """A DICOM modality."""
    share: float
    """Of 1,000 studies."""
    study: str
    """What reports call it."""
    regions: Mapping[str, float]
    """Regions of the anatomy table, and how often each."""
    beside: tuple[str, ...] = ()
    """Regions that such a study always shows too."""


@cache
def services() -> dict[str, Service]:
    """The services of the table, by name."""
    return {row["name"]: _read(row) for row in load_table("services")["service"]}


def _read(row: dict[str, Any]) -> Service:
    return Service(**row | {"beside": tuple(row.get("beside", ()))})


def _share_services() -> dict[str, float]:
    return {service.name: service.share for service in services().values()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """What `generate_reports` draws from. The default is a hospital's."""

    shares: Mapping[str, float] = field(default_factory=_share_services)
    """By service; they needn't add up to anything."""
    personas: tuple[Persona, ...] = tuple(NAMED.values())
    institutions: int = 8
    radiologists: int = 5
    """At each institution."""
    wildness: tuple[float, ...] = (0.0, 0.0, 0.0, 0.1, 0.3, 1.0)
    """Shares of invented words; each report has one of them."""
    words: float = 130.0
    """Of findings, on average."""
    normal: float = 0.25
    """The share of reports with nothing abnormal."""

    def draw_service(self, rng: Random) -> Service:
        """One service, as often as its share says."""
        return services()[rng.choices(list(self.shares), list(self.shares.values()))[0]]

    def draw_reader(self, rng: Random) -> tuple[str, str, Persona]:
        """An institution, one of its radiologists, and how they write: the same persona for the same radiologist."""
        site, reader = rng.randrange(self.institutions), rng.randrange(self.radiologists)
        persona = self.personas[(site * self.radiologists + reader) % len(self.personas)]
        return f"site-{site + 1}", f"{persona.name}-{site * self.radiologists + reader + 1}", persona


@cache
def find_region(name: str) -> dict[str, Any]:
    """A region of the anatomy table."""
    return next(r for r in regions() if r["name"] == name)


HOSPITAL = Mixture()
"""CT first, as in a department."""
PLAIN = replace(HOSPITAL, wildness=(0.0,))
"""The same in words that all exist: for measuring, where it is to be like a hospital's."""
EVEN = Mixture(
    shares=dict.fromkeys(("CT", "MR", "US", "PET", "MRA", "fluoroscopy", "XR", "mammography", "NM"), 1.0),
    wildness=(0.0, 0.0, 0.1, 0.3, 0.6, 1.0),
    words=70.0,
)
"""Every service alike, stranger and shorter: for training, which has to meet the rare ones too."""
