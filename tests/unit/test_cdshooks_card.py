"""Cards: report text stays text, and the worst flag sets the colour."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from radbridge.draft import DraftImpression, Flag, Severity, Stage
from radbridge_adapters.cdshooks.card import escape, make_card

TEXT = "1. No acute finding.\n# not a heading\n<b>x</b> | y"


def draft(*flags: Flag, text: str = TEXT) -> DraftImpression:
    return DraftImpression(
        id="D0123456789abcdef",
        text=text,
        findings_digest="0" * 16,
        signer="1001",
        lora="rad/1001@v3-0123456789ab",
        model="m",
        base_digest="0" * 12,
        prompt_version="p1",
        stage=Stage.FINE,
        flags=flags,
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("severities", "indicator"),
    [
        ([], "info"),
        ([Severity.INFO], "info"),
        ([Severity.WARNING, Severity.INFO], "warning"),
        ([Severity.WARNING, Severity.CRITICAL], "critical"),
    ],
)
def test_the_worst_flag_sets_the_indicator(severities: list[Severity], indicator: str) -> None:
    """And every flag is told in the detail."""
    flags = [Flag(kind="laterality", message=f"side {i}", severity=s) for i, s in enumerate(severities)]
    card = make_card(draft(*flags), {"resourceType": "Observation"})
    assert card["indicator"] == indicator
    assert all(f"side {i}" in card["detail"] for i in range(len(flags)))


def test_a_card_is_its_drafts_own() -> None:
    """The same draft, the same card, so that feedback finds its way; the resource gets its id from the client."""
    one, again = (make_card(draft(), {"resourceType": "Observation", "id": "x"}) for _ in range(2))
    assert one == again
    assert one["uuid"] != make_card(draft(Flag(kind="x", message="y")), {})["suggestions"][0]["uuid"]
    assert "id" not in one["suggestions"][0]["actions"][0]["resource"]


@given(st.text(alphabet=st.sampled_from("ab 1.-#*_`<>[]()!|\\&~=+:/@\n\t^$'\"%;?{},")))
def test_report_text_is_shown_as_it_is(text: str) -> None:
    """Whatever is in a report, no Markdown, link or markup comes of it: rendered, it is the same words again."""
    markdown = MarkdownIt("gfm-like", {"linkify": False})
    shown = markdown.render(escape(text))
    assert not re.sub(r"</?p>|<br ?/?>", "", shown).count("<")
    words = unescape(re.sub(r"<[^>]+>", "\n", shown))
    assert words.split() == text.split()
