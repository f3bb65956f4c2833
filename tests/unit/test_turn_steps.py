"""The steps of one radiologist's part of a turn."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from radbridge.errors import NothingToLearn, RegistryError, TrainingFault
from radbridge_training.optimize.figures import tell_nobody
from radbridge_training.turn.done import read_done
from radbridge_training.turn.job import State
from radbridge_training.turn.steps import run_steps
from tests.support.killed_steps import Copying, is_whole, make_job, three_steps


def text_of(folder: Path, step: str = "3-c") -> str:
    return (make_job(folder).folder / step / "text").read_text()


def test_killed_anywhere(tmp_path: Path) -> None:
    """Killed at any file operation, a run leaves no half of a step, and the next one does only what isn't done."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.support.killed_steps", str(tmp_path)]
    tried = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    assert tried.returncode == 0, tried.stderr
    assert int(tried.stdout) > 30


def test_done_once(tmp_path: Path) -> None:
    """A second run of the same does nothing, and says that it took no time."""
    first, second = three_steps(), three_steps()
    assert set(run_steps(make_job(tmp_path), first, tell_nobody).seconds) == {"1-a", "2-b", "3-c"}
    outcome = run_steps(make_job(tmp_path), second, tell_nobody)
    assert (outcome.state, outcome.seconds) == (State.TRAINED, {})
    assert [step.runs for step in second] == [0, 0, 0]


@pytest.mark.parametrize(("changed", "runs"), [(0, [1, 1, 1]), (1, [0, 1, 1]), (2, [0, 0, 1])])
def test_what_changed_is_done_anew(tmp_path: Path, changed: int, runs: list[int]) -> None:
    """A step whose inputs changed is done anew, and so is every one after it; those before stay."""
    run_steps(make_job(tmp_path), three_steps(), tell_nobody)
    steps = three_steps()
    steps[changed].recipe = "!"
    run_steps(make_job(tmp_path), steps, tell_nobody)
    assert [step.runs for step in steps] == runs
    assert text_of(tmp_path).count("!") == 1


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        (NothingToLearn("all impressions are alike"), State.SKIPPED, "all impressions are alike"),
        (TrainingFault("training diverged at step 12"), State.FAILED, "training diverged at step 12"),
        (OSError(errno.ENOSPC, "No space left on device"), State.FAILED, "disk full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), State.FAILED, "disk full"),
        (RegistryError("the LoRA registry can't be written"), State.FAILED, "the LoRA registry can't be written"),
        (ValueError("DOE^JANE 900001"), State.FAILED, "ValueError"),
    ],
)
def test_a_fault_is_a_value(tmp_path: Path, fault: Exception, state: State, reason: str) -> None:
    """Whatever a step raises becomes an outcome with its reason, which quotes no foreign text; nothing is half done."""

    def fail() -> None:
        raise fault

    steps = three_steps()
    steps[1].during = fail
    outcome = run_steps(make_job(tmp_path), steps, tell_nobody)
    assert (outcome.state, outcome.reason, outcome.step) == (state, reason, "2-b")
    assert [p.name for p in make_job(tmp_path).folder.iterdir()] == ["1-a"]
    assert steps[2].runs == 0


@pytest.mark.parametrize("junk", ["", "[]", "{}", '{"step": 7}', "\x00"])
def test_a_torn_mark_is_none(tmp_path: Path, junk: str) -> None:
    """A step whose `done.json` can't be read isn't done."""
    run_steps(make_job(tmp_path), three_steps(), tell_nobody)
    done = make_job(tmp_path).folder / "2-b" / "done.json"
    done.write_text(junk)
    assert read_done(done.parent) is None
    steps = three_steps()
    run_steps(make_job(tmp_path), steps, tell_nobody)
    assert [step.runs for step in steps] == [0, 1, 1]
    assert is_whole(done.parent)


@settings(max_examples=20)
@given(names=st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5, unique=True))
def test_any_chain(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """However many steps there are, each sees the folder of the one before it."""
    folder = tmp_path_factory.mktemp("turn")
    steps = [Copying(name=name, after=before) for before, name in zip(["", *names], names, strict=False)]
    assert run_steps(make_job(folder), steps, tell_nobody).state is State.TRAINED
    assert text_of(folder, names[-1]) == "".join(f"{name};" for name in names)
