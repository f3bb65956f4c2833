"""What is read of a statement: findings and devices, and what is said of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.entities import MANY, Certainty, Entity, Trend, load_lexicon, read_entities
from radbridge.errors import ConfigError
from radbridge.text import read_words, stem

WORDS = (
    "no left right bilateral mild severe two 12 mm effusion pneumothorax nodule possible likely new unchanged improved "
    ", ; . and or but with upper lobe the there is L4-5 resolved history of : \n"
).split(" ")
reports = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=200)


def one(text: str, name: str) -> Entity:
    """The only mention of a concept."""
    [entity] = [e for e in read_entities(text).entities if e.concept.name == name]
    return entity


@pytest.mark.parametrize(
    ("text", "name", "certainty"),
    [
        ("Small effusion.", "effusion", Certainty.DEFINITE),
        ("No evidence of pneumothorax.", "pneumothorax", Certainty.DENIED),
        ("No focal consolidation, effusion, or pneumothorax.", "pneumothorax", Certainty.DENIED),
        ("No pneumothorax, but a small nodule.", "nodule", Certainty.DEFINITE),
        ("Pneumothorax has resolved.", "pneumothorax", Certainty.DENIED),
        ("Pneumonia cannot be excluded.", "pneumonia", Certainty.POSSIBLE),
        ("Cannot exclude pneumonia.", "pneumonia", Certainty.POSSIBLE),
        ("Opacity, possibly pneumonia.", "pneumonia", Certainty.POSSIBLE),
        ("Opacity, possibly pneumonia.", "opacity", Certainty.DEFINITE),
        ("Likely atelectasis in the left base.", "atelectasis", Certainty.LIKELY),
        ("Scarring rather than pneumonia.", "pneumonia", Certainty.DENIED),
        ("Atelectasis versus pneumonia.", "pneumonia", Certainty.POSSIBLE),
        ("?Pneumonia.", "pneumonia", Certainty.POSSIBLE),
        ("Fever, ? left basal pneumonia, known nodule.", "pneumonia", Certainty.POSSIBLE),
        ("Fever, ? left basal pneumonia, known nodule.", "nodule", Certainty.DEFINITE),
        ("Nodule? Known pneumonia.", "nodule", Certainty.POSSIBLE),
        ("Nodule? Known pneumonia.", "pneumonia", Certainty.DEFINITE),
        ("R/o torsion.", "torsion", Certainty.POSSIBLE),
        ("Exclude torsion.", "torsion", Certainty.POSSIBLE),
        ("No pneumothorax following drain insertion.", "drain", Certainty.DEFINITE),
        ("No effusion since the nodule was biopsied.", "nodule", Certainty.DEFINITE),
        ("None of the following: effusion, nodule.", "nodule", Certainty.DEFINITE),
        ("The left femoral vein does not compress.", "noncompressible_lumen", Certainty.DEFINITE),
        ("Nodule is not significantly changed.", "nodule", Certainty.DEFINITE),
        ("No change in the nodule.", "nodule", Certainty.DEFINITE),
        ("?pneumonia", "pneumonia", Certainty.POSSIBLE),
        ("Cough. ? pneumonia", "pneumonia", Certainty.POSSIBLE),
        ("Pneumonia?", "pneumonia", Certainty.POSSIBLE),
        ("Pneumonia? Known nodule.", "nodule", Certainty.DEFINITE),
        ("The testis has a lack of flow.", "absent_flow", Certainty.DEFINITE),
    ],
)
def test_how_sure_the_text_is(text: str, name: str, certainty: Certainty) -> None:
    """A mention is denied, possible, likely or definite by the cues of its own clause."""
    assert one(text, name).certainty is certainty


@pytest.mark.parametrize(
    ("text", "name", "sides"),
    [
        ("Small left effusion and right basilar atelectasis.", "effusion", "L"),
        ("Small left effusion and right basilar atelectasis.", "atelectasis", "R"),
        ("Bilateral effusions.", "effusion", "LR"),
        ("Effusion, larger on the right than on the left.", "effusion", "LR"),
        ("Nodule in the lingula.", "nodule", "L"),
        ("Small effusion.", "effusion", ""),
    ],
)
def test_a_side_is_of_what_is_nearest(text: str, name: str, sides: str) -> None:
    """A side belongs to the mention with least between them; a site of one side brings it along."""
    assert one(text, name).place.sides == set(sides)


def test_a_heading_gives_its_place() -> None:
    """What stands under `RIGHT KIDNEY:` is of the right kidney, unless it names another place."""
    cyst, other = read_entities("RIGHT KIDNEY: Small cyst. Left adrenal nodule.").entities
    assert cyst.place.sides == {"R"}
    assert other.place.sides == {"L"}


@pytest.mark.parametrize(
    ("text", "trends"),
    [
        ("The nodule is unchanged.", {Trend.STABLE}),
        ("New nodule.", {Trend.NEW}),
        ("The nodule has increased in size.", {Trend.WORSE}),
        ("The nodule is smaller.", {Trend.BETTER}),
        ("Again seen is a nodule.", {Trend.KNOWN}),
        ("Nodule of 12 mm, previously 8 mm.", {Trend.WORSE}),
        ("Nodule of 12 x 5 mm, previously 18 x 4 mm.", {Trend.BETTER}),
        ("Nodule of 12 mm, previously 11 mm.", set()),
        ("History of nodule.", {Trend.PAST}),
        ("Nodule. Comparison with the prior study.", set()),
    ],
)
def test_its_course_is_told_with_it(text: str, trends: set[Trend]) -> None:
    """New, stable, better, worse and past are read; a prior study makes nothing past."""
    assert one(text, "nodule").trends == trends


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two nodules.", 2),
        ("3 nodules.", 3),
        ("Multiple nodules.", MANY),
        ("A solitary nodule.", 1),
        ("Twin nodules.", 2),
        ("3 mm nodule.", None),
        ("Grade 3 nodule.", None),
        ("² nodule.", None),
        ("Nodule.", None),
    ],
)
def test_a_number_of_things_is_no_size(text: str, count: int | None) -> None:
    """Counts are read in words and digits, and a digit of a measurement is none."""
    assert one(text, "nodule").count == count


def test_a_size_is_of_what_is_nearest() -> None:
    """Every value of `2.4 x 3 cm` is in millimetres and belongs to its finding."""
    nodule = one("A 2.4 x 3 cm nodule and a small effusion.", "nodule")
    assert [m.value for m in nodule.measures] == [24, 30]
    assert not one("A 2.4 x 3 cm nodule and a small effusion.", "effusion").measures


def test_a_degree_is_of_what_comes_next() -> None:
    """Mild, moderate and severe grade the finding after them."""
    text = "Severe atelectasis with mild effusion."
    assert (one(text, "atelectasis").severity, one(text, "effusion").severity) == (3, 1)


@given(reports)
def test_mentions_lie_in_the_text(text: str) -> None:
    """Whatever the text, it is read alike twice, and every span lies within it and within its statement's words."""
    read = read_entities(text)
    assert read == read_entities(text)
    for entity in read.entities:
        assert 0 <= entity.start < entity.end <= len(text)
        assert entity.place.sides <= entity.around.sides
        for start, end in entity.sided_at:
            assert text[start:end].strip() == text[start:end] != ""


def test_a_site_adds_words_of_its_own(tmp_path: Path) -> None:
    """A file in the lexicon's form adds terms; one that can't be read is named."""
    own = tmp_path / "own.toml"
    own.write_text('region = "chest"\n[findings.zebra_sign]\nterms = ["zebra sign"]\ntier = "critical"\n')
    [entity] = read_entities("Zebra sign on the left.", lexicon=load_lexicon(own)).entities
    assert (entity.concept.name, entity.place.sides) == ("zebra_sign", frozenset("L"))
    with pytest.raises(ConfigError, match=r"missing.toml can't be read"):
        load_lexicon(tmp_path / "missing.toml")


def test_every_fault_of_a_sites_own_words_is_told(tmp_path: Path) -> None:
    """Entries without terms, of an unknown tier or without a kind are named, all at once."""
    own = tmp_path / "own.toml"
    own.write_text('[findings.a]\nterms = []\n[findings.b]\nterms = ["b"]\ntier = "bad"\n[sites.c]\nterms = ["c"]\n')
    with pytest.raises(ConfigError) as caught:
        load_lexicon(own)
    assert told_of(caught.value) == ["findings.a.terms", "findings.b.tier"]
    own.write_text(
        '[sites.c]\nterms = ["c"]\n[findings.pneumothorax]\ndrop = ["ptx2"]\nbroader = ["nowhere"]\n'
        '[findings.d]\nterms = ["pneumothorax"]\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_lexicon(own)
    assert told_of(caught.value) == [
        "findings.pneumothorax.drop",
        "sites.c.kind",
        "findings.pneumothorax.broader",
        "findings.d.terms",
    ]


def told_of(error: ConfigError) -> list[str]:
    """The key that each problem names."""
    return [p.rpartition("own.toml: ")[2].partition(":")[0] for p in error.problems]


def test_a_sites_entry_adds_to_the_packaged_one_of_its_name(tmp_path: Path) -> None:
    """Terms are added, those under `drop` go, other keys replace, and what the entry doesn't name stays."""
    own = tmp_path / "own.toml"
    own.write_text('[findings.pneumothorax]\nterms = ["air leak line"]\ndrop = ["ptx"]\ntier = "major"\n')
    lexicon = load_lexicon(own)
    said = "Air leak line. PTX. Pneumothorax."
    names = [(e.concept.name, e.concept.tier) for e in read_entities(said, lexicon=lexicon).entities]
    assert names == [("pneumothorax", 2), ("pneumothorax", 2)]


def test_a_site_names_what_is_no_finding_and_no_good_place(tmp_path: Path) -> None:
    """What a file passes over isn't read, and its wrong places are those of every device of the kind."""
    own = tmp_path / "own.toml"
    own.write_text(
        '[no_findings.stone_street]\nterms = ["stone street"]\n[devices.tube]\nterms = ["tubus"]\n'
        'misplaced_at = ["esophagus"]\n[devices.tube_of_ours]\nterms = ["our tube"]\nbroader = ["tube"]\n'
    )
    [stone, tube] = read_entities("Stone Street. A stone. Our tube.", lexicon=load_lexicon(own)).entities
    assert (stone.concept.name, tube.concept.misplaced_at) == ("stone", frozenset(("esophagus",)))
    other = tmp_path / "other.toml"
    other.write_text('[devices.ours]\nterms = ["ours"]\nmisplaced_at = ["nowhere"]\n')
    with pytest.raises(ConfigError, match="there is no 'nowhere'"):
        load_lexicon(other)


def test_terms_of_every_file_count() -> None:
    """What one sex can't have stands in several files, and all of it counts."""
    male = load_lexicon().sex["M"]
    assert all(male.find([stem(w) for w in read_words(term)]) for term in ("prostate", "gynecomastia"))


@pytest.mark.parametrize(
    ("text", "sites"),
    [
        ("Nodules in the upper and lower lobes.", {"upper_lobe", "lower_lobe"}),
        ("Nodules in the left lower and right upper lobes.", {"left_lower_lobe", "right_upper_lobe"}),
        ("Nodules of the 4th, 5th and 6th ribs.", {"rib_4", "rib_5", "rib_6"}),
        ("Nodules in liver segments 4 and 8.", {"liver_segment_4", "liver_segment_8"}),
        ("Nodule of the rib and lower lobe.", {"rib", "lower_lobe"}),
    ],
)
def test_places_that_share_a_noun(text: str, sites: set[str]) -> None:
    """Each of several places is told though the noun stands at one of them only."""
    assert {site.name for site in one(text, "nodule").place.sites} == sites
