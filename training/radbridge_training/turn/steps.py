"""Runs the steps of one radiologist's part of a turn: each once, each a folder that is there whole or not at all.

There is no file of states and no database of jobs. A step whose folder says that it was done from the same inputs is
passed over, so a turn that was killed goes on where it was, and one whose recipe changed does anew what the change
reaches. What goes wrong is a value: one radiologist's fault never ends another's part.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence

import structlog

from radbridge.errors import NothingToLearn, RadBridgeError, TrainingFault
from radbridge.logs import describe
from radbridge_training.optimize.figures import Tell
from radbridge_training.staging import drop, put, stage
from radbridge_training.turn.done import Done, digest_inputs, read_done, write_done
from radbridge_training.turn.job import Job, Outcome, State, Step

log = structlog.get_logger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_steps(job: Job, steps: Sequence[Step], tell: Tell) -> Outcome:
    """Do what isn't done yet, in order. Never raises, whatever a step raises: the outcome says how it ended."""
    seconds: dict[str, float] = {}
    for step in steps:
        try:
            took = run_step(job, step, tell)
        except Exception as error:  # noqa: BLE001 - whatever breaks one radiologist's step leaves the others alone
            drop(job.folder / step.name)
            return _tell_fault(job, step, error, seconds)
        if took is not None:
            seconds[step.name] = took
    return Outcome(owner=job.owner.owner, state=State.TRAINED, seconds=seconds)


def run_step(job: Job, step: Step, tell: Tell) -> float | None:
    """Do one step; the seconds that it took, None where it was done before. Raises what the step raises."""
    folder = job.folder / step.name
    inputs = digest_inputs(step.name, step.inputs(job), job.folder / step.after if step.after else None)
    if (done := read_done(folder)) is not None and done.inputs == inputs:
        return None
    began = time.monotonic()
    staged = stage(folder)
    told = step.run(job, staged, tell)
    took = round(time.monotonic() - began, 3)
    write_done(staged, Done(step=step.name, inputs=inputs, seconds=took, told=told))
    put(staged, folder)
    return took


def _tell_fault(job: Job, step: Step, error: Exception, seconds: dict[str, float]) -> Outcome:
    state = State.SKIPPED if isinstance(error, NothingToLearn) else State.FAILED
    reason = find_reason(error)
    if not isinstance(error, TrainingFault):
        log.warning("step failed", step=step.name, owner=job.owner.owner, reason=reason, exc_info=error)
    return Outcome(owner=job.owner.owner, state=state, reason=reason, step=step.name, seconds=seconds)


def find_reason(error: Exception) -> str:
    """Why it failed, in words that hold no text of a report."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return "disk full"
    if any(f"(os error {number})" in str(error) for number in _FULL):  # as safetensors tells it
        return "disk full"
    return str(error) if isinstance(error, RadBridgeError) else describe(error)
