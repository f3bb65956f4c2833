"""JSON lines, and drafts paired with references: by id, in any order, with faults by file and line."""

from __future__ import annotations

import codecs
import json
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge import jsonl
from radbridge.errors import ConfigError, RowFault
from radbridge.evaluation.rows import DRAFT, REFERENCE, Matched, Reference, Rows
from radbridge.jsonl import TOLD, Faults, read_lines, read_rows

GOOD = {"id": "r1", "findings": "A small left effusion.", "impression": "Small left effusion."}


def write(file: Path, *rows: Mapping[str, Any] | bytes) -> Path:
    file.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return file


def tell(file: Path) -> str:
    """What is said of a file of references."""
    faults = Faults()
    list(read_rows(file, REFERENCE, faults=faults))
    with pytest.raises(ConfigError) as told:
        faults.settle()
    return str(told.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"secret", "isn't JSON: unexpected character, expected a JSON value at 1"),
        (b'{"id": "secret"', "isn't JSON: unexpected end of data"),
        (b'["secret"]', "isn't a JSON object"),
        (b'{"id": "secret", "impression": "secret"}', "findings is missing or empty"),
        (
            b'{"id": "secret", "findings": " ", "impression": null}',
            "impression is missing or empty; findings is",
        ),
        (b'{"findings": "secret", "impression": "secret"}', "id is missing or empty"),
        (json.dumps(GOOD | {"age": "secret"}).encode(), "age: Input should be a valid integer"),
        (json.dumps(GOOD | {"findings": ["secret"]}).encode(), "findings: Input should be a valid string"),
        ('{"id": "secret", "findings": "é"}'.encode("latin-1"), "byte 0xE9 at 31 isn't UTF-8; convert the file"),
        (b"\x00secret", "isn't JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_names_file_and_line_and_quotes_nothing(tmp_path: Path, row: bytes, problem: str) -> None:
    """A line that can't be taken is told by its file, its number and its key, never by what stands in it."""
    file = write(tmp_path / "in.jsonl", GOOD, b"", row, GOOD | {"id": "r2"})
    said = tell(file)
    assert said.startswith(f"{file}, line 3: {problem}")
    assert "secret" not in said


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_is_named(tmp_path: Path, coding: str) -> None:
    """A file of UTF-16 or UTF-32 is told by that name, at once."""
    marks = {"utf-16-be": codecs.BOM_UTF16_BE, "utf-32-be": codecs.BOM_UTF32_BE}
    file = tmp_path / "in.jsonl"
    file.write_bytes(marks.get(coding, b"") + json.dumps(GOOD).encode(coding))
    with pytest.raises(RowFault, match=f"line 1: {coding[:6].upper()}; save the file as UTF-8"):
        list(read_lines(file, faults=Faults()))


def test_a_mark_blank_lines_and_ends_of_any_kind_pass(tmp_path: Path) -> None:
    """UTF-8 with its mark, lines that end as on Windows, blank ones and a last one without an end are read."""
    file = tmp_path / "in.jsonl"
    rows = [json.dumps(GOOD | {"id": name, "age": None}).encode() for name in "abc"]
    file.write_bytes(codecs.BOM_UTF8 + b"\r\n \r\n".join(rows))
    faults = Faults()
    assert [(n, row.id) for n, row in read_rows(file, REFERENCE, faults=faults)] == [(1, "a"), (3, "b"), (5, "c")]
    assert [row.id for _, row in Rows(file, REFERENCE, faults=faults).read(np.arange(3))] == ["a", "b", "c"]
    assert faults.count == 0


def test_an_endless_line_is_refused_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line over the limit is told and passed without being held; the rows around it keep their numbers."""
    monkeypatch.setattr(jsonl, "MAX_LINE", 1 << 20)
    file = write(tmp_path / "in.jsonl", GOOD, b"x" * (5 << 19), GOOD | {"id": "r2"})
    faults = Faults(skip=True)
    rows = Rows(file, REFERENCE, faults=faults)
    assert [(n, row.id) for n, row in rows.read(np.arange(2))] == [(1, "r1"), (3, "r2")]
    assert [str(fault) for fault in faults.told] == [
        f"{file}, line 2: longer than 1 MiB; is it one JSON object a line?"
    ]


def test_faults_are_gathered_and_cut(tmp_path: Path) -> None:
    """Twenty faults are told at once, then that there are more; with `skip` all are counted and none raised."""
    file = write(tmp_path / "in.jsonl", *[b"{}"] * (TOLD + 5))
    with pytest.raises(ConfigError) as told:
        list(read_rows(file, REFERENCE, faults=Faults()))
    assert len(told.value.problems) == TOLD + 1
    assert told.value.problems[-1] == "and more"
    faults = Faults(skip=True)
    assert not list(read_rows(file, REFERENCE, faults=faults))
    faults.settle()
    assert faults.count == TOLD + 5


def test_an_id_twice_names_both_lines(tmp_path: Path) -> None:
    """The same id twice is a fault of the later line, which names the first; a number and its text are one id."""
    file = write(tmp_path / "in.jsonl", GOOD | {"id": 7}, GOOD, GOOD | {"id": "7"}, GOOD)
    faults = Faults(skip=True)
    assert len(Rows(file, REFERENCE, faults=faults)) == 2
    assert [str(fault) for fault in faults.told] == [
        f"{file}, line 3: the same id as in line 1",
        f"{file}, line 4: the same id as in line 2",
    ]


@given(order=st.permutations(range(6)))
def test_drafts_in_any_order_meet_their_reports(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    """Whatever the order of the drafts, pairs come in the order of the references and hold one id."""
    folder = tmp_path_factory.mktemp("rows")
    signed = write(folder / "signed.jsonl", *(GOOD | {"id": f"r{n}"} for n in range(6)))
    drafts = write(folder / "drafts.jsonl", *({"id": f"r{n}", "draft": f"Draft {n}."} for n in order))
    pairs = list(Matched(signed, {"one": drafts}, faults=Faults()).pairs("one"))
    assert [(p.reference.id, p.draft.draft) for p in pairs] == [(f"r{n}", f"Draft {n}.") for n in range(6)]
    assert [p.number for p in pairs] == [order.index(n) + 1 for n in range(6)]


def test_strangers_are_named_on_both_sides(tmp_path: Path) -> None:
    """A draft without a report and a report without a draft are told by line, with how many rows each file has."""
    signed = write(tmp_path / "signed.jsonl", *(GOOD | {"id": f"r{n}"} for n in range(4)))
    drafts = write(tmp_path / "drafts.jsonl", {"id": "r0"}, {"id": "nobody"}, {"id": "r3"})
    with pytest.raises(ConfigError) as told:
        Matched(signed, {"one": drafts}, faults=Faults())
    sizes = f"{signed} has 4 good rows, {drafts} 3"
    assert told.value.problems == (
        f"{drafts}, line 2: no row of {signed} has its id",
        f"{signed}, line 2: {drafts} has no draft for it ({sizes})",
        f"{signed}, line 3: {drafts} has no draft for it ({sizes})",
    )


def test_systems_are_told_of_the_same_reports(tmp_path: Path) -> None:
    """With faulty rows left out, what one system has no draft for is left out for all."""
    signed = write(tmp_path / "signed.jsonl", *(GOOD | {"id": f"r{n}"} for n in range(4)))
    one = write(tmp_path / "one.jsonl", *({"id": f"r{n}"} for n in (3, 2, 1)))
    two = write(tmp_path / "two.jsonl", *({"id": f"r{n}"} for n in (0, 1, 3)))
    matched = Matched(signed, {"one": one, "two": two}, faults=Faults(skip=True))
    assert len(matched) == 2
    for system in ("one", "two"):
        assert [pair.draft.id for pair in matched.pairs(system)] == ["r1", "r3"]
    assert [reference.id for reference in matched.read_references()] == ["r1", "r3"]


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    """A file that is written to between the two passes ends the evaluation instead of mixing reports."""
    file = write(tmp_path / "in.jsonl", {"id": "a", "draft": "x"}, {"id": "b", "draft": "y"})
    rows = Rows(file, DRAFT, faults=Faults())
    write(file, {"id": "b", "draft": "y"}, {"id": "a", "draft": "x"})
    with pytest.raises(RowFault, match="changed while it was read"):
        list(rows.read(np.arange(2)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """An absent file is named with the system's reason."""
    with pytest.raises(ConfigError, match=r"absent\.jsonl: No such file or directory"):
        Rows(tmp_path / "absent.jsonl", DRAFT, faults=Faults())


def test_long_files_pass_through(tmp_path: Path) -> None:
    """Ten megabytes of reports are paired and read in the memory of a few, whatever their order."""
    long = "A small left effusion. " * 100
    signed = write(tmp_path / "signed.jsonl", *(GOOD | {"id": f"r{n}", "findings": long} for n in range(4_000)))
    drafts = write(tmp_path / "drafts.jsonl", *({"id": f"r{n}", "draft": long} for n in range(3_999, -1, -1)))
    assert signed.stat().st_size + drafts.stat().st_size > 10e6
    tracemalloc.start()
    try:
        count = sum(1 for _ in Matched(signed, {"one": drafts}, faults=Faults()).pairs("one"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 4_000
    assert peak < 2e6


def test_texts_stay_out_of_representations() -> None:
    """No text of a report shows in the representation of a row."""
    reference = Reference(id="r", findings="secret", impression="secret", indication="secret", comparison="secret")
    assert "secret" not in repr(replace(reference, age=4))
