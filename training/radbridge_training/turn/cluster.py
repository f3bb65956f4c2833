"""Runs jobs side by side as Ray tasks, on this machine or on a cluster. The only file that knows Ray.

A worker that dies (killed, out of memory) is replaced, and its job goes on with the step that it was in; after the
third death the job has failed. What a job itself finds wrong comes back as a value.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from radbridge import logs
from radbridge.errors import ConfigError, TrainingFault
from radbridge_training.turn.board import Bars, Board, BoardTell
from radbridge_training.turn.done import DoneSteps
from radbridge_training.turn.job import Job, Outcome, State, Step
from radbridge_training.turn.scratch import make_scratch
from radbridge_training.turn.steps import find_reason, run_steps
from radbridge_training.turn_recipe import TurnRecipe

log = structlog.get_logger(__name__)

_OBJECT_STORE_BYTES = 100 * 2**20
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DISABLE_WORKER_LOG_PREFIX": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # a job is nice by itself; Ray's own processes have to start beside busy ones
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_memory_usage_threshold": "0.97",
}
"""For a Ray of our own."""
_QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
"""For every worker."""
_NICE = 10
"""Drafts for people who wait go first."""
LOG = "log"
_RETRIES = 2
_STARTS = 3
_POLL_S = 0.5
_JOB_GIB = 2.5
"""Memory that a job on the packaged base takes at most, with every library loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Where jobs run."""

    cpus: int
    """Cores for all of them together, on this machine."""
    address: str = ""
    """Of a Ray cluster; empty: a Ray of its own on this machine, for as long as the jobs run."""


def run_jobs(jobs: Sequence[Job], *, steps: Sequence[Step], cluster: Cluster, bars: Bars) -> Iterator[Outcome]:
    """Run every job's steps; the outcomes as they come."""
    if not jobs:
        return
    recipe = jobs[0].recipe
    with _ray(cluster, recipe.threads) as ray:
        check_cluster(ray, cluster, recipe)
        board = ray.remote(Board).options(num_cpus=0).remote()
        waiting: dict[Any, Job] = {}
        done = DoneSteps({job.owner.owner: job.folder for job in jobs}, [step.name for step in steps])
        for job in jobs:
            work = ray.remote(
                num_cpus=job.recipe.threads,
                num_gpus=job.recipe.gpus,
                max_retries=_RETRIES,
                max_calls=1 if job.recipe.gpus else 0,  # a GPU's memory comes back for sure only with the process's end
            )(_work)
            waiting[work.remote(job, steps, BoardTell(board=board, owner=job.owner.owner))] = job
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_POLL_S)
            with suppress(ray.exceptions.RayError):  # without the board there are no bars, and nothing else is missing
                bars.show(ray.get(board.read.remote()))
            for owner, ended in done.read_new():
                log.info("step done", owner=owner, step=ended.step, elapsed_s=ended.seconds)
            for reference in ready:
                yield _collect(ray, reference, waiting.pop(reference))


def count_cpus(wanted: int, free_gib: float) -> int:
    """Cores to use: `wanted`, or with 0 all but one, the gateway's; and no more jobs than there is memory for."""
    cpus = wanted or max(1, read_cores() - 1)
    return max(1, min(cpus, int(free_gib / _JOB_GIB)))


def read_cores() -> int:
    """Cores that this process may use: in a container not all that the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read_cgroup("cpu.max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else cores


def read_free_gib() -> float:
    """Memory that this process can get, in GiB: what is free, and what it only keeps files in."""
    most, used = _read_cgroup("memory.max"), _read_cgroup("memory.current")
    left = (int(most) - int(used)) / 2**30 if most.isdigit() and used.isdigit() else float("inf")
    with suppress(OSError, StopIteration):  # not Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return min(left, int(kib) / 2**20)
    return min(left, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)


def _read_cgroup(name: str) -> str:
    """What the container's limits say; empty where there are none."""
    with suppress(OSError):
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
    return ""


def _work(job: Job, steps: Sequence[Step], tell: BoardTell) -> Outcome:
    """What a worker runs. Its log lies beside the steps: Ray's own goes with Ray."""
    os.nice(max(0, _NICE - os.nice(0)))
    with (job.folder / LOG).open("a", encoding="utf-8") as stream:
        logs.configure(stream=stream)
        return run_steps(job, steps, tell)


def _collect(ray: Any, reference: Any, job: Job) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # before its first step: a full disk, or a folder that isn't there
        reason = f"{find_reason(error.cause)}; is training.work on a disk that every machine of the cluster sees?"
        return Outcome(owner=job.owner.owner, state=State.FAILED, reason=reason)
    except ray.exceptions.RayError:
        reason = "worker died (killed or out of memory)"
        return Outcome(owner=job.owner.owner, state=State.FAILED, reason=reason)
    return outcome


def check_cluster(ray: Any, cluster: Cluster, recipe: TurnRecipe) -> None:
    """Ray waits for ever for what isn't there. Raises ConfigError; of a cluster, which may grow, it is only told."""
    there = ray.cluster_resources()
    lacks = [
        f"{key}: {asked:g} asked for a job, {there.get(name, 0):g} there"
        for key, name, asked in (("threads", "CPU", recipe.threads), ("gpus", "GPU", recipe.gpus))
        if asked > there.get(name, 0)
    ]
    if lacks and cluster.address:
        log.warning("the cluster has less than a job asks for", problems=lacks)
    elif lacks:
        raise ConfigError([f"recipe: {said}; take training/recipes/turn.yaml, or name a cluster" for said in lacks])


@contextmanager
def _ray(cluster: Cluster, threads: int) -> Iterator[Any]:
    """Ray, connected; a Ray of our own has no dashboard, sends no statistics, and leaves nothing behind."""
    if cluster.address:
        import ray

        quiet = {"env_vars": _QUIET}
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=quiet)
        try:
            yield ray
        finally:
            ray.shutdown()
        return
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(_ENVIRONMENT | _QUIET)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray reads it once in a process
    import ray

    with make_scratch() as folder:
        try:
            _start(ray, max(cluster.cpus, threads), folder)
            with _leaving_on_sigterm():
                yield ray
        finally:
            ray.shutdown()


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """Ray's own handler ends the process on the spot, and leaves its files behind."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(ray: Any, cpus: int, folder: Path) -> None:
    """Ray gives its own processes half a minute, which isn't enough on a machine that drafts and trains at once."""
    for attempt in range(_STARTS):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder / str(attempt)),
                _node_ip_address="127.0.0.1",
            )
        except Exception as error:  # Ray raises a bare one when it came too late
            ray.shutdown()
            log.warning("ray doesn't start", attempt=attempt + 1, attempts=_STARTS, exc_info=error)
        else:
            return
    raise TrainingFault("Ray doesn't start on this machine; the turn goes on when it is run again")
