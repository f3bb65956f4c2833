"""Jobs side by side as Ray tasks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from structlog.testing import capture_logs

from radbridge.errors import ConfigError
from radbridge_training.optimize.figures import Tell
from radbridge_training.turn.board import Bars
from radbridge_training.turn.cluster import Cluster, check_cluster, count_cpus, read_cores, read_free_gib, run_jobs
from radbridge_training.turn.job import Job, State
from radbridge_training.turn_recipe import TurnRecipe
from tests.support.killed_steps import Copying, make_job


def die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(job: Job) -> None:
    mark = job.folder / "died"
    if not mark.exists():
        mark.touch()
        die(job)


def fill_the_disk(job: Job) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


MISHAPS: dict[str, Callable[[Job], None]] = {"rad/dies": die, "rad/dies-once": die_once, "rad/full": fill_the_disk}


@dataclass(kw_only=True)
class Mishap(Copying):
    """What happens depends on whose job it is."""

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        tell("copying", 1, 2)
        if mishap := MISHAPS.get(job.owner.owner):
            mishap(job)
        return super().run(job, into, tell)


# On a machine so busy that Ray has to be started again, it ends the processes of the first start when it ends itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_dies_the_others_go_on(tmp_path: Path) -> None:
    """A worker that is killed is replaced and goes on; one that always dies, or fills the disk, fails alone."""
    jobs = [make_job(tmp_path, owner) for owner in ("rad/fine", *MISHAPS)]
    for job in jobs:
        job.folder.mkdir(parents=True)
    steps = [Copying(name="1-a"), Mishap(name="2-b", after="1-a")]
    bars = Bars(Progress(console=Console(quiet=True)))
    with capture_logs() as said:
        outcomes = {o.owner: o for o in run_jobs(jobs, steps=steps, cluster=Cluster(cpus=2), bars=bars)}
    assert {owner: (o.state, o.reason) for owner, o in outcomes.items()} == {
        "rad/fine": (State.TRAINED, ""),
        "rad/dies-once": (State.TRAINED, ""),
        "rad/full": (State.FAILED, "disk full"),
        "rad/dies": (State.FAILED, "worker died (killed or out of memory)"),
    }
    assert set(outcomes["rad/dies-once"].seconds) == {"2-b"}, "what was done before it died is not done again"
    told = {(line["owner"], line["step"]) for line in said if line["event"] == "step done"}
    assert told == {(job.owner.owner, "1-a") for job in jobs} | {("rad/fine", "2-b"), ("rad/dies-once", "2-b")}
    assert not list((tmp_path / "rad" / "full").glob("*2-b*"))
    assert "OSError (ENOSPC)" in (tmp_path / "rad" / "full" / "log").read_text()


@pytest.mark.parametrize(
    ("recipe", "fits"), [({}, True), ({"threads": 2}, True), ({"threads": 3}, False), ({"gpus": 1}, False)]
)
def test_more_than_there_is(recipe: dict[str, int], fits: bool) -> None:
    """A job that asks for more than the machine has is refused, as it would wait for ever; a cluster may grow."""
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    asked = TurnRecipe.model_validate(recipe)
    with nullcontext() if fits else pytest.raises(ConfigError, match="asked for a job"):
        check_cluster(ray, Cluster(cpus=2), asked)
    check_cluster(ray, Cluster(cpus=2, address="auto"), asked)


def test_no_more_jobs_than_memory() -> None:
    """As many cores as asked for, or all but one; never more jobs than the memory holds, and never none."""
    assert count_cpus(3, free_gib=64) == 3
    assert count_cpus(8, free_gib=6) == 2
    assert count_cpus(1, free_gib=0.1) == 1
    assert count_cpus(0, free_gib=1000) == max(1, read_cores() - 1)
    assert 0 < read_free_gib() < 1e6
