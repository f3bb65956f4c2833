"""The site's drafter: the guard has the last word, and a damaged site model isn't served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from radbridge.candidates import (
    CHOOSING,
    FEATURES,
    POOL,
    Chooser,
    FeatureWeights,
    Report,
    SiteDrafter,
    SitePool,
    Source,
    load_site_drafter,
    read_chooser,
    write_chooser,
    write_pool,
)
from radbridge.draft import Flag, FlagKind, Severity
from radbridge.errors import ConfigError
from radbridge.guard import Guard

CLEAR = "The lungs are clear. No pleural effusion or pneumothorax. The heart is normal in size."
USUAL = "No acute cardiopulmonary disease."
REPORTS = [
    *(Report(findings=f"{CLEAR} Film {n}.", impression=USUAL) for n in range(3)),
    *(Report(findings=CLEAR, impression="Left pneumothorax.") for _ in range(9)),
]
BLOCKED = Flag(kind=FlagKind.NEGATION, message="made up", severity=Severity.CRITICAL)


def make_chooser(**weights: float) -> Chooser:
    """One hidden unit, which sums up the features named."""
    features = {name: FeatureWeights(mean=0.0, deviation=1.0, weights=(weights.get(name, 0.0),)) for name in FEATURES}
    return Chooser(taken_up={"granuloma": 0.5}, features=features, bias=(0.0,), output=(1.0,))


@pytest.fixture
def drafter() -> SiteDrafter:
    return SiteDrafter(pool=SitePool(REPORTS), chooser=make_chooser(signed=1.0))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    digest = write_pool(tmp_path / POOL, REPORTS)
    write_chooser(tmp_path / CHOOSING, make_chooser(signed=1.0))
    (tmp_path / "manifest.json").write_text(json.dumps({"serving": {"pool_sha256": digest}}))
    return tmp_path


def test_the_best_is_drafted(drafter: SiteDrafter) -> None:
    """What the chooser rates highest is the draft, with where it is from."""
    choice = drafter.draft(CLEAR, check=Guard(CLEAR).check)
    assert (choice.text, choice.source) == (USUAL, Source.RETRIEVED)


def test_a_poisoned_neighbour_never_reaches_a_draft(drafter: SiteDrafter) -> None:
    """Nine of twelve neighbours say pneumothorax and the chooser likes what is often signed: still none is drafted."""
    assert "pneumothorax" not in drafter.draft(CLEAR, check=lambda _: ()).text


def test_the_guard_has_the_last_word(drafter: SiteDrafter) -> None:
    """A text that the guard would keep back gives way to the next; when all would, to the findings' own words."""
    one = drafter.draft(CLEAR, check=lambda text: (BLOCKED,) if text == USUAL else ())
    assert one.text not in {"", USUAL}
    none = drafter.draft(CLEAR, check=lambda _: (BLOCKED,))
    assert none.source is Source.COARSE


def test_another_patients_certainty_is_not_borrowed(drafter: SiteDrafter) -> None:
    """Of a text that stands in another report the guard need not object gravely: any contradiction is too much."""
    doubt = Flag(kind=FlagKind.CERTAINTY, message="stated as definite", severity=Severity.WARNING)
    choice = drafter.draft(CLEAR, check=lambda text: (doubt,) if text == USUAL else ())
    assert (choice.text == USUAL, choice.source) == (False, Source.COARSE)


def test_nothing_found_is_an_empty_draft(drafter: SiteDrafter) -> None:
    """Empty findings with nothing like them in the pool: no text of another patient when the guard objects to it."""
    assert drafter.draft("", check=lambda _: (BLOCKED,)).text == ""


def test_a_written_site_model_drafts_the_same(base: Path, drafter: SiteDrafter) -> None:
    """What was written is what is read: pool and chooser."""
    loaded = load_site_drafter(base)
    assert loaded is not None
    assert loaded.chooser == drafter.chooser
    assert loaded.pool.reports == drafter.pool.reports


def test_a_folder_without_a_site_model_is_a_base(tmp_path: Path) -> None:
    """Most bases have none."""
    assert load_site_drafter(tmp_path) is None


def _change_pool(base: Path) -> None:
    with (base / POOL).open("a") as file:
        file.write('{"findings": "Clear.", "impression": "Normal."}\n')


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda base: (base / name).write_text(text)


def _rename_feature(base: Path) -> None:
    told = json.loads((base / CHOOSING).read_bytes())
    told["features"]["unheard_of"] = told["features"].pop("signed")
    (base / CHOOSING).write_text(json.dumps(told))


def _drop_unit(base: Path) -> None:
    told = json.loads((base / CHOOSING).read_bytes())
    (base / CHOOSING).write_text(json.dumps(told | {"output": []}))


def _damages() -> Iterator[tuple[str, Callable[[Path], object], str, str]]:
    yield "no pool", lambda base: (base / POOL).unlink(), POOL, "is missing"
    yield "no chooser", lambda base: (base / CHOOSING).unlink(), CHOOSING, "is missing"
    yield "another pool", _change_pool, POOL, "SHA-256"
    yield "no manifest", lambda base: (base / "manifest.json").unlink(), "manifest.json", "pool_sha256"
    yield "a manifest without digest", _write("manifest.json", "[]"), "manifest.json", "pool_sha256"
    yield "no JSON", _write(CHOOSING, "{"), CHOOSING, "JSON"
    yield "another version", _write(CHOOSING, '{"version": 2}'), CHOOSING, "version"
    yield "another feature", _rename_feature, CHOOSING, "features"
    yield "a unit too few", _drop_unit, CHOOSING, "hidden units"


@pytest.mark.parametrize(("damage", "file", "said"), [pytest.param(*d[1:], id=d[0]) for d in _damages()])
def test_a_damaged_site_model_is_told(base: Path, damage: Callable[[Path], object], file: str, said: str) -> None:
    """What is damaged is named with its file and what to do, and nothing is served."""
    damage(base)
    with pytest.raises(ConfigError) as error:
        load_site_drafter(base)
    told = str(error.value)
    assert f"{base / file}" in told
    assert said in told
    assert "docs/how-to/train-a-site-model.md" in told


def test_a_bad_line_of_the_pool_is_told_without_its_text(base: Path) -> None:
    """The file and the line, never the report."""
    bad = b'{"findings": "A secret finding.", "impression": ""}\n'
    digest = write_pool(base / POOL, REPORTS)
    (base / POOL).write_bytes((base / POOL).read_bytes() + bad)
    assert digest
    with pytest.raises(ConfigError) as error:
        load_site_drafter(base)
    assert "secret" not in str(error.value)


def test_a_features_weight_says_what_is_liked(tmp_path: Path) -> None:
    """A chooser whose only weight is on length rates the longer text higher, and says so after a round trip."""
    file = tmp_path / CHOOSING
    write_chooser(file, make_chooser(words=1.0))
    chooser = read_chooser(file)
    row = dict.fromkeys(FEATURES, 0.0)
    assert chooser.rate(list((row | {"words": 2.0}).values())) > chooser.rate(list((row | {"words": 1.0}).values()))
