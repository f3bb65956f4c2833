"""One whole turn: examples, jobs, gate, publishing. One process drives it, workers train."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress

import structlog
from rich.console import Console
from rich.progress import Progress

from radbridge.audit import What
from radbridge.errors import NothingToLearn, RadBridgeError, RegistryError, TrainingFault
from radbridge.flow.personas import choose_personas
from radbridge.journal import learning
from radbridge.journal.schema import LoraAction
from radbridge_training.optimize.figures import Tell
from radbridge_training.turn import folder
from radbridge_training.turn.board import Bars, Standing
from radbridge_training.turn.cluster import Cluster, count_cpus, read_free_gib, run_jobs
from radbridge_training.turn.done import read_done
from radbridge_training.turn.examples import EXAMPLES, MakeExamples
from radbridge_training.turn.folder import Turn
from radbridge_training.turn.gating import GATE, gate_jobs, read_learned
from radbridge_training.turn.job import Job, Outcome, Owner, State
from radbridge_training.turn.lock import alone
from radbridge_training.turn.marked import settle_marked
from radbridge_training.turn.noting import note_reading
from radbridge_training.turn.plan import Reason, find_champion
from radbridge_training.turn.publishing import Lineage, Publisher
from radbridge_training.turn.ready import check_room, try_base
from radbridge_training.turn.steps import find_reason, run_steps
from radbridge_training.turn.training import SFT, STEPS, find_weights
from radbridge_training.turn.workshop import Workshop, make_job, open_turn
from radbridge_training.turn_recipe import TurnRecipe

_PUBLISH = "6-publish"
_COMMAND = "train run"
log = structlog.get_logger(__name__)


def run_turn(shop: Workshop, recipe: TurnRecipe, console: Console, *, only: Sequence[str], fresh: bool) -> Turn:
    """Drive a turn to its end, or the one that was broken off.

    Raises ConfigError before anything is touched, TurnRuns beside another turn, and ModelUnavailable when the gate gets
    no model server: then the turn stays open, and the next one goes on at the gate.
    """
    settings = shop.site.training
    check_room((settings.work, shop.registry.root), settings.least_free_gib)
    with alone(settings.work):
        turn = _end_turn(shop, recipe, open_turn(shop, recipe, only, fresh=fresh), console)
        if turn.told.only and not only:  # that was one for a few, which had been broken off
            turn = _end_turn(shop, recipe, open_turn(shop, recipe, only, fresh=fresh), console)
        folder.sweep(settings.work, settings.keep_turns)
    return turn


def _end_turn(shop: Workshop, recipe: TurnRecipe, turn: Turn, console: Console) -> Turn:
    """The turn at its end."""
    _choose_personas(shop)
    settle_marked(shop, turn)
    if left := [owner for owner in turn.told.owners if not turn.outcome(owner.owner)]:
        try_base(shop.serving.base, recipe.load)
        _Drive(shop, recipe, turn, console).run(left)
    settle_marked(shop, turn)
    return folder.end(turn, keep_rows=shop.site.training.keep_rows)


def _choose_personas(shop: Workshop) -> None:
    """Who stands in for those without weights of their own; without that the turn goes on."""
    try:
        with shop.stores.connect() as conn:
            counts = learning.count_reports(conn)
            told = {"step": "personas", "radiologists": str(len(counts)), "reports": str(sum(counts.values()))}
            note_reading(shop.stores, What.VIEWED, _COMMAND, **told)
            choose_personas(conn, shop.site)
    except RegistryError:
        log.warning("personas can't be chosen", exc_info=True)


class _Drive:
    """The parts of one turn that its driver does."""

    def __init__(self, shop: Workshop, recipe: TurnRecipe, turn: Turn, console: Console) -> None:
        self._shop = shop
        self._recipe = recipe
        self._turn = turn
        self._progress = Progress(console=console, disable=not console.is_terminal, transient=True)
        self._bars = Bars(self._progress)
        self._publisher = Publisher(shop.registry, shop.stores, secret=shop.secret)

    def run(self, owners: Sequence[Owner]) -> None:
        """Every owner's part to its outcome."""
        with self._progress:
            jobs = [job for owner in owners if (job := self._make_job(owner))]
            self._gate(self._train(self._make_examples(jobs)))

    def _make_job(self, owner: Owner) -> Job | None:
        """The owner's part, where it may still be done: much may have changed since a turn was broken off."""
        home = self._turn.home(owner.owner)
        try:
            if not self._shop.site.training.has_consent(owner.radiologist):
                shutil.rmtree(home, ignore_errors=True)
                raise NothingToLearn(Reason.CONSENT)
            job = make_job(self._shop, self._turn, owner, self._recipe)
            champion = find_champion(self._shop.registry, owner.owner)
            if owner.parent and (champion is None or champion.name != owner.parent) and not read_done(home / GATE):
                raise TrainingFault("the version that training went on from drafts no more")
        except RadBridgeError as error:
            state = State.SKIPPED if isinstance(error, NothingToLearn) else State.FAILED
            self._end(Outcome(owner=owner.owner, state=state, reason=find_reason(error)))
            return None
        return job

    def _make_examples(self, jobs: Sequence[Job]) -> list[Job]:
        step = MakeExamples(self._shop.site, self._shop.stores, self._shop.serving.ways, self._shop.secret)
        went_on = []
        for job in jobs:
            outcome = run_steps(job, [step], self._tell(job))
            if self._goes_on(outcome):
                went_on.append(job)
                for name, took in outcome.seconds.items():
                    log.info("step done", owner=outcome.owner, step=name, elapsed_s=took)
        return went_on

    def _train(self, jobs: Sequence[Job]) -> list[Job]:
        settings = self._shop.site.training
        where = Cluster(cpus=count_cpus(settings.cpus, read_free_gib()), address=settings.ray)
        outcomes = run_jobs(jobs, steps=STEPS, cluster=where, bars=self._bars)
        went_on = {outcome.owner for outcome in outcomes if self._goes_on(outcome)}
        return [job for job in jobs if job.owner.owner in went_on]

    def _note_gate(self, job: Job) -> None:
        """The gate reads by what patients are told, of the cases that were learned from."""
        with suppress(RadBridgeError, OSError):  # `radbridge forget` took them away: the gate says so
            cases = str(len(read_learned(job.folder / EXAMPLES)))
            told = {"step": "gate", "radiologist": job.owner.radiologist, "cases": cases}
            note_reading(self._shop.stores, What.VIEWED, _COMMAND, **told)

    def _gate(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._note_gate(job)
        with self._shop.stores.connect() as conn:
            verdicts = gate_jobs(
                jobs,
                conn,
                self._shop.registry,
                serving=self._shop.serving,
                secret=self._shop.secret,
                page_texts=self._shop.site.training.page_texts,
                tell=lambda phase, done, total: self._bars.show({"gate": Standing(phase, done, total)}),
            )
            for job, verdict in verdicts:
                owner = job.owner.owner
                if isinstance(verdict, Outcome):
                    self._end(verdict)
                elif verdict.passed:
                    self._end(self._publish(job))
                else:
                    self._publisher.tell(owner, owner, LoraAction.GATED, verdict.reason)
                    self._end(Outcome(owner=owner, state=State.REFUSED, reason=verdict.reason, step=GATE))

    def _publish(self, job: Job) -> Outcome:
        """The job's weights as a version, on trial or served."""
        owner = job.owner.owner
        reason = f"passed the gate of turn {self._turn.folder.name}"
        try:
            version = self._publisher.publish(find_weights(job.folder), owner, self._lineage(job), reason=reason)
            trial = self._shop.site.training.trial
            action = self._publisher.serve(version, trial, reason=reason, at_once=job.owner.marked)
        except (RadBridgeError, OSError) as error:  # one registry folder that can't be written leaves the others' alone
            return Outcome(owner=owner, state=State.FAILED, reason=find_reason(error), step=_PUBLISH)
        told = action.value if action else "marked: something that it learned from was withdrawn"
        return Outcome(owner=owner, state=State.PUBLISHED, reason=told, version=version.name)

    def _lineage(self, job: Job) -> Lineage:
        examples, sft = read_done(job.folder / EXAMPLES), read_done(job.folder / SFT)
        told = examples.told if examples else {}
        learned = read_learned(job.folder / EXAMPLES)
        figures = sft.told["figures"] if sft else {}
        return Lineage(
            base_digest=job.base_digest,
            prompt_version=job.ways.version,
            parent=job.owner.parent,
            ids=learned.keys(),
            trained={
                "recipe": self._turn.told.recipe,
                "turn": self._turn.folder.name,
                "weights": find_weights(job.folder).name,
                "steps": figures.get("steps", 0),
                "seed": job.recipe.seed,
                "examples": told.get("examples", 0),
                "upto": max(learned.values()),
            },
        )

    def _tell(self, job: Job) -> Tell:
        return lambda phase, done, total: self._bars.show({job.owner.owner: Standing(phase, done, total)})

    def _goes_on(self, outcome: Outcome) -> bool:
        if outcome.state is State.TRAINED:
            return True
        self._end(outcome)
        return False

    def _end(self, outcome: Outcome) -> None:
        self._turn.put_outcome(outcome)
        self._bars.end(outcome.owner)
        log.info(
            "turn outcome",
            owner=outcome.owner,
            state=outcome.state.value,
            reason=outcome.reason,
            version=outcome.version,
        )
