"""Promises about the guard's vocabulary, `radbridge/entities/lexicon/*.toml`, read as plain data."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from radbridge.text import read_words, stem

Entry = dict[str, Any]
REGIONS = frozenset(
    """abdomen breast cardiac chest devices general msk neuro obstetric pelvis spine urinary vascular""".split()
)
TIERS = frozenset(("critical", "major", "minor", "expected"))
SITE_KINDS = frozenset(
    "organ part lobe segment level vessel bone joint space region nerve tissue".split(),
)
# What an entry of each table must have, and what it may have besides.
KEYS = {
    "findings": ({"terms", "tier"}, {"broader", "reads_as"}),
    "devices": ({"terms"}, {"broader", "reads_as", "misplaced_at"}),
    "no_findings": ({"terms"}, set[str]()),
    "sites": ({"terms", "kind"}, {"within", "side", "sided"}),
    "sex": ({"terms"}, set[str]()),
    "ages": ({"terms", "range"}, set[str]()),
}


@cache
def tables() -> dict[str, dict[str, Any]]:
    """Every file by its name."""
    folder = files("radbridge.entities").joinpath("lexicon")
    found = (f for f in folder.iterdir() if f.name.endswith(".toml"))
    return {f.name.removesuffix(".toml"): tomllib.loads(f.read_text(encoding="utf-8")) for f in found}


def entries(*kinds: str) -> Iterator[tuple[str, Entry]]:
    for table in tables().values():
        for kind in kinds:
            yield from table.get(kind, {}).items()


def read_term(term: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in read_words(term))


def find_shared_terms(*kinds: str) -> dict[str, set[str]]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for name, entry in entries(*kinds):
        for term in entry["terms"]:
            owners[" ".join(read_term(term))].add(name)
    return {term: names for term, names in owners.items() if len(names) > 1}


def find_cycle(links: dict[str, list[str]], name: str, path: tuple[str, ...] = ()) -> tuple[str, ...]:
    if name in path:
        return (*path, name)
    cycles = (find_cycle(links, above, (*path, name)) for above in links.get(name, []))
    return next(filter(None, cycles), ())


def test_each_file_names_its_region() -> None:
    """There is one file for each region, and it says which."""
    assert {name: table["region"] for name, table in tables().items()} == {name: name for name in REGIONS}


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_entries_have_their_keys(kind: str) -> None:
    """Each entry has the keys of its table and no other."""
    required, optional = KEYS[kind]
    assert [name for name, entry in entries(kind) if not required <= entry.keys() <= required | optional] == []


def test_only_known_tables_stand_in_a_file() -> None:
    """A misspelt table would be read by nobody."""
    assert {key for table in tables().values() for key in table} <= KEYS.keys() | {"region"}


def test_every_term_holds_a_word() -> None:
    """No entry is without terms, and no term without words."""
    empty = [name for name, e in entries(*KEYS) if not e["terms"] or not all(read_term(t) for t in e["terms"])]
    assert empty == []


def test_an_entry_lists_each_term_once() -> None:
    """Inflections meet in their stem, so one spelling of a term is enough."""
    twice = [
        name
        for name, e in entries("findings", "devices", "sites")
        if len(set(map(read_term, e["terms"]))) != len(e["terms"])
    ]
    assert twice == []


def test_names_are_unique() -> None:
    """A finding, a device or a site is defined once, in one file, under a snake_case name."""
    names = [name for name, _ in entries("findings", "devices", "sites")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [name for name in names if not name.isidentifier() or name != name.lower()] == []


def test_a_term_means_one_thing() -> None:
    """A term belongs to one finding or device, and to one site."""
    assert find_shared_terms("findings", "devices", "no_findings") == {}
    assert find_shared_terms("sites") == {}


def test_a_term_hides_no_other_finding() -> None:
    """`Hydronephrosis and hydroureter` is no term: it would take both names for one finding."""
    owners = {read_term(t): name for name, e in entries("findings", "devices") for t in e["terms"]}
    broader = {name: set(e.get("broader", [])) for name, e in entries("findings", "devices")}
    joined = [
        (owner, owners[term[:at]], owners[term[at + 1 :]])
        for term, owner in owners.items()
        for at in (i for i, word in enumerate(term) if word == "and")
        if term[:at] in owners and term[at + 1 :] in owners
    ]
    hidden = [names for names in joined if any(n != names[0] and names[0] not in broader[n] for n in names[1:])]
    assert [names for names in hidden if names[0] != "support_device"] == []


def test_a_term_is_a_site_or_a_finding() -> None:
    """No whole term is both a place and what is found there."""
    sites = {read_term(t) for _, e in entries("sites") for t in e["terms"]}
    findings = {read_term(t) for _, e in entries("findings", "devices") for t in e["terms"]}
    assert sites & findings == set()


@pytest.mark.parametrize(
    ("kind", "link", "to"),
    [
        ("findings", "broader", "findings"),
        ("findings", "reads_as", "findings"),
        ("devices", "broader", "devices"),
        ("devices", "reads_as", "findings"),
        ("devices", "misplaced_at", "sites"),
        ("sites", "within", "sites"),
    ],
)
def test_links_lead_somewhere(kind: str, link: str, to: str) -> None:
    """`broader`, `reads_as`, `misplaced_at` and `within` name entries that exist, never the entry itself."""
    known = {name for name, _ in entries(to)}
    lost = [(name, end) for name, e in entries(kind) for end in e.get(link, []) if end not in known - {name}]
    assert lost == []


@pytest.mark.parametrize(("kind", "link"), [("findings", "broader"), ("devices", "broader"), ("sites", "within")])
def test_links_go_round_in_no_circle(kind: str, link: str) -> None:
    """Nothing is a kind of itself, and no place contains itself."""
    links = {name: e.get(link, []) for name, e in entries(kind)}
    assert [cycle for name in links if (cycle := find_cycle(links, name))] == []


def test_values_are_known() -> None:
    """Tiers, kinds of site and sides are words that the guard knows."""
    assert {e["tier"] for _, e in entries("findings")} == TIERS
    assert {e["kind"] for _, e in entries("sites")} <= SITE_KINDS
    assert {e["side"] for _, e in entries("sites") if "side" in e} == {"left", "right"}
    assert {name for name, _ in entries("sex")} == {"female", "male", "neither"}


def test_a_side_that_is_fixed_stands_in_the_term() -> None:
    """A site that has a side and comes once isn't also called one of a pair."""
    assert [name for name, e in entries("sites") if "side" in e and e.get("sided", False)] == []


def test_ages_are_ranges_of_years() -> None:
    """An age range goes from the lower to the higher age of a human life."""
    assert [name for name, e in entries("ages") if not 0 <= e["range"][0] < e["range"][1] <= 130] == []


def test_what_must_be_told_at_once_is_critical() -> None:
    """The findings that an on-call physician is called for carry the critical tier."""
    called = """pneumothorax tension_pneumothorax pulmonary_embolism aortic_dissection free_air subdural_hemorrhage
        subarachnoid_hemorrhage cord_compression testicular_torsion ovarian_torsion ectopic fetal_demise appendicitis
        midline_shift brain_infarct mesenteric_ischemia deep_vein_thrombosis volvulus tamponade
        placental_abruption""".split()
    tiers = {name: e["tier"] for name, e in entries("findings")}
    assert {name: tiers.get(name) for name in called} == dict.fromkeys(called, "critical")
