"""Plots: well formed, inside their picture, and the same for the same figures."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from radbridge.evaluation.svg import Mark, Row, choose_ticks, draw_key, draw_rows

NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
MARKS = st.builds(
    Mark, value=NUMBERS | st.just(float("nan")), low=st.none() | NUMBERS, high=st.none() | NUMBERS,
    series=st.integers(0, 20), strong=st.booleans(),
)  # fmt: skip
ROWS = st.lists(
    st.builds(Row, label=st.text(), marks=st.lists(MARKS, max_size=3).map(tuple), note=st.text()), max_size=5
)


@given(rows=ROWS, title=st.text(), key=st.lists(st.text(), max_size=9))
def test_any_figures(rows: list[Row], title: str, key: list[str]) -> None:
    """Whatever the figures and names are, the picture is XML, and every mark lies between the axis' ends."""
    svg = draw_rows(rows, title=title, key=key)
    assert bool(svg) == any(row.drawn for row in rows)
    if svg:
        root = ET.fromstring(svg)  # noqa: S314 - made here
        lines = [e.attrib for e in root.iter() if e.attrib.get("class") in ("grid", "zero")]
        grid, top = [float(line["x1"]) for line in lines], float(lines[0]["y1"])
        circles = [e.attrib for e in root.iter() if "cx" in e.attrib]
        marks = [float(c["cx"]) for c in circles if float(c["cy"]) > top]  # those of the legend stand above
        assert all(min(grid) - 0.1 <= x <= max(grid) + 0.1 for x in marks)


@given(low=NUMBERS, span=st.floats(0, 1e6))
def test_ticks(low: float, span: float) -> None:
    """The ticks span the values, rise by equal steps, and are few."""
    ticks = choose_ticks(low, low + span)

    assert ticks[0] <= low + 1e-6
    assert ticks[-1] >= low + span - 1e-6 * max(1, abs(low))
    assert 2 <= len(ticks) <= 8
    assert all(a < b for a, b in pairwise(ticks))


def test_round_ticks() -> None:
    """Ticks are numbers that people count in."""
    assert choose_ticks(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert choose_ticks(42.1, 66.7) == [40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0]


def test_a_mark_stands_at_its_value() -> None:
    """A value that is a tick stands on the tick's line, and its interval ends at its edges."""
    svg = draw_rows([Row(label="a", marks=(Mark(value=20.0, low=0.0, high=40.0),))], title="t", from_zero=True)
    root = ET.fromstring(svg)  # noqa: S314 - made here
    lines = [float(e.attrib["x1"]) for e in root.iter() if e.attrib.get("class") == "grid"]
    labels = [float(e.text or "") for e in root.iter() if e.attrib.get("class") == "tick"]
    at = dict(zip(labels, lines, strict=True))
    [circle] = [float(e.attrib["cx"]) for e in root.iter() if "cx" in e.attrib]
    [span] = [e.attrib["d"] for e in root.iter() if "span" in e.attrib.get("class", "")]

    assert circle == at[20.0]
    assert span.startswith(f"M{at[0.0]:.1f} ")
    assert f"H{at[40.0]:.1f}m" in span


def test_text_is_escaped() -> None:
    """A name with markup in it is text, in the picture and in its title."""
    svg = draw_rows([Row(label="<b>&", marks=(Mark(value=1.0),), note="<i>")], title='"><script>')

    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<script>" not in svg


def test_series_differ_without_colour() -> None:
    """The first eight systems have shapes of their own."""
    shapes = {draw_key(series).split('aria-hidden="true">')[1].replace(f"s{series} ", "") for series in range(8)}

    assert len(shapes) == 8


def test_same_bytes() -> None:
    """Equal figures make equal pictures; one that stands alone brings its colours, light and dark."""
    rows = [Row(label="a", marks=(Mark(value=1.0, low=0.5, high=2.0),))]
    alone = draw_rows(rows, title="t", key=("one", "other"))

    assert alone == draw_rows(rows, title="t", key=("one", "other"))
    assert 'xmlns="http://www.w3.org/2000/svg"' in alone
    assert "prefers-color-scheme: dark" in alone
