"""Folders of a turn outside of its own, and what is seen of steps that others do."""

from __future__ import annotations

import os
from pathlib import Path

from radbridge_training.turn.done import Done, DoneSteps, write_done
from radbridge_training.turn.scratch import LOCK, make_scratch, sweep_scratch


def age(folder: Path) -> None:
    """It was made long ago."""
    os.utime(folder, (0, 0))


def test_what_a_killed_driver_left_goes(tmp_path: Path) -> None:
    """A later turn removes old folders whose driver has died: no young one, no other program's, none in use."""
    kept = [tmp_path / name for name in ("rb-young", "rb-of-others", "elsewhere")]
    left = tmp_path / "rb-left"
    for folder in (*kept, left):
        folder.mkdir()
    for folder in (kept[0], kept[2], left):
        (folder / LOCK).touch()
    for folder in (*kept[1:], left):
        age(folder)
    with make_scratch(tmp_path) as own:
        assert not left.exists()
        assert all(folder.exists() for folder in kept)
        age(own)
        sweep_scratch(tmp_path)
        assert own.exists()
    assert not own.exists()


def test_steps_that_others_do_are_seen_once(tmp_path: Path) -> None:
    """What was done before isn't news; what is done then is told once, and once more when it is done anew."""
    homes = {"rad/1001": tmp_path}
    before, then = tmp_path / "1-a", tmp_path / "2-b"
    for folder in (before, then):
        folder.mkdir()
    write_done(before, Done(step="1-a", inputs="", seconds=1.0))
    seen = DoneSteps(homes, ["1-a", "2-b"])
    assert not list(seen.read_new())
    for _ in range(2):
        write_done(then, Done(step="2-b", inputs="", seconds=2.0))
        assert [(owner, done.step) for owner, done in seen.read_new()] == [("rad/1001", "2-b")]
        assert not list(seen.read_new())
