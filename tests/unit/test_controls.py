"""Characters that no reader sees, and what becomes of them."""

from __future__ import annotations

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.contract import DraftRequest
from radbridge.entities import read_measures
from radbridge.text import holds_controls, read_words, strip_controls
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine

BREAKS = ("\x0b", "\x0c", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
UNSEEN = ("\x00", "\x1b", "\x08", "\x7f", "\x9b", "\u061c", "\u200b", "\u200d", "\u202e", "\u2060", "\u2066", "\ufeff")
WRITTEN = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN", "SHORTHAND", "MUSICAL")
"""Scripts whose format characters are signs of the script."""


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("Lungs\tclear.\nNo effusion.", "Lungs\tclear.\nNo effusion."),
        ("Lungs clear.\r\nNo effusion.\r", "Lungs clear.\nNo effusion.\n"),
        ("Lungs clear\x0bHeart normal", "Lungs clear\nHeart normal"),
        ("right\x1flung", "right lung"),
        ("pneumo\u00adthorax", "pneumothorax"),
        ("l\x00u\x00n\x00g\x00", "lung"),
        ("\u202eon esaesid\u202c \u200bnormal\u200b", "on esaesid normal"),
        ("Unauffälliger Befund, 12 µm, 3 × 4 cm", "Unauffälliger Befund, 12 µm, 3 × 4 cm"),
        ("未见异常。", "未见异常。"),
        ("", ""),
    ],
)
def test_only_what_is_seen_stays(text: str, stripped: str) -> None:
    """Hidden characters go, words that a separator kept apart stay apart, and all that can be read stays."""
    assert strip_controls(text) == stripped


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("12\u00ad mm", [12]),
        ("12\u00admm", [12]),
        ("10\u00ad12 mm", [10, 12]),
        ("12\u200bmm", [12]),
        ("1\u200b2 mm", [12]),
        ("2.4\x00 x 3.9\x1b cm", [24, 39]),
        *((f"12{separator}mm", [12]) for separator in BREAKS),
        *((f"4{separator}12 mm", [12]) for separator in BREAKS),
    ],
)
def test_a_measurement_keeps_its_value(text: str, values: list[float]) -> None:
    """Two numbers are never run together, and none is torn apart."""
    assert [m.value for m in read_measures(strip_controls(text))] == values


def test_every_control_and_format_character_goes() -> None:
    """Of Unicode's control and format characters only line feed, tab and a script's own signs stay."""
    hidden = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Cc", "Cf")]
    kept = [c for c in hidden if c in strip_controls(f"a{c}b")]
    assert [c for c in kept if not unicodedata.name(c, "").startswith(WRITTEN)] == ["\t", "\n"]


@given(st.lists(st.sampled_from((*BREAKS, *UNSEEN, "\u00ad", "\x1f")) | st.text(max_size=10)).map("".join))
def test_stripping_is_done_at_once(text: str) -> None:
    """A stripped text holds nothing to strip, and the words of a text without hidden characters are untouched."""
    stripped = strip_controls(text)
    assert strip_controls(stripped) == stripped
    assert not holds_controls(stripped)
    if not holds_controls(text) and "\u00ad" not in text:
        assert read_words(stripped) == read_words(text)


@pytest.mark.parametrize(
    ("strategy", "draft"),
    [
        ("coarse_to_fine", "12 mm nodule in the right upper lobe."),
        ("single", "12 mm right upper lobe nodule."),
    ],
)
async def test_no_draft_holds_one(strategy: Literal["coarse_to_fine", "single"], draft: str) -> None:
    """Neither the model's prompt nor a draft holds a hidden character, whether the findings or the model brought it."""
    asked: list[str] = []

    def say(prompt: str) -> str:
        asked.append(prompt)
        return "12 mm right upper\u200b lobe\x00 nodule.\u202e"

    engine = EchoEngine(say=say)
    settings = Settings(engine="echo", strategy=strategy)
    chain = LoraChain(registry=None, packaged={}, personas={}, site_lora="")
    findings = "\x1bThere is a 12\u200b mm nodule in the\x0bright upper lobe.\u202e"
    hidden = DraftRequest(id="d1", findings=findings, indication="cou\x00gh", comparison="\u2066none")
    response = await Service(settings=settings, engine=engine, chain=chain).drafter.draft(hidden)
    assert asked
    assert not any(holds_controls(prompt) for prompt in asked)
    assert response.draft == draft
