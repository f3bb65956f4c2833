"""docs/quality.md: measured part by part, and each stays where it is until it is measured anew."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from statistics import pstdev

from tests.bench.quality import PAGE, WORDS, write
from tests.bench.quality_aims import Aim, show_aims
from tests.bench.quality_parts import PARTS
from tests.bench.quality_radiologists import draw_interval
from tests.bench.quality_tables import Section

DAY = date(2026, 11, 20)


def test_parts_keep_their_place(tmp_path: Path) -> None:
    """A part that is measured again takes its own place, and the others stay as they were."""
    write(tmp_path, Section(name="recipe", body="| first |"), DAY)
    write(tmp_path, Section(name="generated", body="| table |", pictures={"quality-x.svg": "<svg/>"}), DAY)
    before = (tmp_path / PAGE).read_text()
    write(tmp_path, Section(name="recipe", body="| second |"), DAY)
    after = (tmp_path / PAGE).read_text()

    assert before.index("| table |") < before.index("| first |") < before.index("## Limits")
    assert after == before.replace("| first |", "| second |")
    assert (tmp_path / "pictures" / "quality-x.svg").read_text() == "<svg/>\n"


def test_every_part_has_words() -> None:
    """Each part has a title and says what it is."""
    words = tomllib.loads(WORDS.read_text(encoding="utf-8"))

    assert set(PARTS) == {name for name, told in words.items() if isinstance(told, dict)}
    assert all(words[name]["title"] and words[name]["said"] for name in PARTS)


def test_missed_aims_are_told() -> None:
    """An aim is judged on the figure that is printed, and a missed one says no."""
    shown = show_aims([Aim("ROUGE-1", 38.04, "at least", 38.0), Aim("kept back", 5.06, "at most", 5.0)]).splitlines()

    assert shown[2].endswith("| at least 38.0 | 38.0 | yes |")
    assert shown[3].endswith("| at most 5.0 | 5.1 | **no** |")
    assert not Aim("label F1", 50.0, "above", 50.0).reached
    assert "| yes, within chance |" in show_aims([Aim("label F1", 50.3, "above", 50.0, is_sure=False)])


def test_radiologists_are_drawn() -> None:
    """The interval of a mean over radiologists is that of the textbook, and the same each time."""
    fell = [10.0, 20.0, 30.0, 40.0] * 25
    low, high = draw_interval(fell)

    assert (low, high) == draw_interval(fell)
    assert abs(low - (25 - 1.96 * pstdev(fell) / 10)) < 0.3
    assert abs(high - (25 + 1.96 * pstdev(fell) / 10)) < 0.3
