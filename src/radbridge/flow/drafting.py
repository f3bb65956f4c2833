"""The drafter: requests in the journal become drafts and deliveries, or a recorded reason why not.

A request waits until its text has rested, so that a burst of saves makes one draft. A newer text cancels the call that
is under way for the older one, and an answer that comes all the same is stored as stale and goes nowhere (rule 3).
A draft with a blocking flag is stored too, and goes nowhere either. Cases with a critical finding go first.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Protocol

import structlog
from sqlalchemy import Connection

from radbridge.case import Case, CaseKey
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import DraftImpression, DraftState, FlagKind, Stage
from radbridge.errors import JournalError, LeaseLost, ModelError, ModelOverloaded, ModelUnavailable, Superseded
from radbridge.flow import noting
from radbridge.flow.asking import make_request
from radbridge.flow.holding import SoleHolder, buckets_of, lease_of_case
from radbridge.flow.judging import Judge, Verdict
from radbridge.flow.priors import load_with_prior
from radbridge.flow.remembering import Recall, Recollection
from radbridge.flow.turns import AHEAD, Turns
from radbridge.flow.wake import Alarm
from radbridge.guard.policy import name_kind
from radbridge.imaging import Prior
from radbridge.journal import Journal, cases, deliveries, drafts, locks
from radbridge.journal.drafts import Request
from radbridge.journal.locks import Lock
from radbridge.journal.schema import Purpose
from radbridge.metrics import Metrics
from radbridge.prompt import PROMPT_VERSION
from radbridge.traces import Name, carried, span, under
from radbridge.wire import Holder, Kind

log = structlog.get_logger(__name__)

STAGES = frozenset(("site", "coarse", "queue", "engine", "guard", "server"))
"""Of a draft's times those that are shown: the model server's words, and no other."""
ASK_AGAIN_S = 0.25
"""Pause before a model server that can't be reached is asked again."""


LONGEST_REST_S = 30.0
"""Of a text before it is drafted: the most that `model.settle_s` may be."""


class ModelClient(Protocol):
    """Whoever answers a `DraftRequest`: the model server, over HTTP."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """Raises ModelUnavailable, DeadlinePassed or Superseded."""
        ...

    async def prefetch(self, radiologist: str) -> None:
        """Say that they will soon sign; loading their LoRA goes on behind it. Raises ModelError."""
        ...

    async def ready(self) -> bool: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a request came to."""

    request: Request
    verdict: Verdict
    reason: str = ""
    """Why there is no text; empty when there is."""
    prior: Prior | None = None
    """The earlier study that the draft was made beside."""
    trace: str = ""
    """The W3C `traceparent` of the draft."""
    held: Mapping[str, int] = field(default_factory=dict)
    """The lease that it was begun under."""

    @property
    def draft(self) -> DraftImpression:
        """With the flags that travel."""
        return self.verdict.draft

    @property
    def is_urgent(self) -> bool:
        """Whether findings or flags say that somebody has to be told at once."""
        return self.request.urgent or any(flag.kind == FlagKind.CRITICAL for flag in self.draft.flags)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the journal holds for the drafter."""

    calls: Mapping[CaseKey, str]
    """The calls that were under way, by the revision they are for."""
    standing: frozenset[CaseKey]
    """Those of them that are still asked for."""
    urgent: Sequence[Request]
    other: Sequence[Request]


class Drafter:
    """Asks the model server for every request, several at a time."""

    def __init__(
        self,
        journal: Journal,
        model: ModelClient,
        *,
        destinations: Sequence[str],
        deadline_s: float,
        concurrency: int,
        metrics: Metrics,
        on_draft: Callable[[], None],
        case_secret: bytes,
        judge: Judge,
        recall: Recall | None = None,
        recall_s: float = 0.25,
        ahead: timedelta = AHEAD,
        holder: Holder | None = None,
        poll_s: float | None = None,
    ) -> None:
        """`case_secret` hides which accession is meant by the name that the model server gets of a case.

        `recall` finds what its signer signed before; a draft waits `recall_s` for it and goes without. `ahead` is how
        much older a request may be that an urgent one overtakes. `holder` says whose cases are this gateway's; without
        one all are. Every `poll_s` it looks without having been told.
        """
        self.alarm = Alarm()
        self._journal = journal
        self._model = model
        self._destinations = tuple(destinations)
        self._deadline_s = deadline_s
        self._concurrency = concurrency
        self._metrics = metrics
        self._on_draft = on_draft
        self._case_secret = case_secret
        self._judge = judge
        self._recall = recall
        self._recall_s = recall_s
        self._turns = Turns[Request](since=lambda request: request.ready_at, ahead=ahead)
        self._holder = holder or SoleHolder()
        self._poll_s = poll_s
        self._calls: dict[CaseKey, tuple[str, asyncio.Task[None]]] = {}
        self._wrote: dict[str, str] = {}
        """Which LoRA version was asked to write for a radiologist last."""

    async def run(self) -> None:
        """Draft until cancelled."""
        try:
            while True:
                try:
                    calls = {key: revision for key, (revision, _) in self._calls.items()}
                    wait_s = self._begin_due(await self._journal.read(partial(self._look, calls)))
                except JournalError:
                    log.exception("journal unavailable", retry_in_s=1.0)
                    wait_s = 1.0
                await self.alarm.wait(min((s for s in (wait_s, self._poll_s) if s is not None), default=None))
        finally:
            for _, call in self._calls.values():
                call.cancel()

    def _look(self, calls: Mapping[CaseKey, str], conn: Connection) -> Look:
        at_most = self._concurrency + len(calls) + 1
        buckets = buckets_of(self._holder)
        lines = [drafts.outstanding(conn, urgent=u, at_most=at_most, buckets=buckets) for u in (True, False)]
        return Look(
            calls=calls,
            standing=frozenset(key for key, revision in calls.items() if drafts.is_asked(conn, key, revision)),
            urgent=lines[0],
            other=lines[1],
        )

    def _begin_due(self, look: Look) -> float | None:
        """Start a call for each rested request, stop those nobody asks for any more; seconds to the next, if any."""
        for key, revision in look.calls.items():
            if key not in look.standing and self._calls.get(key, ("",))[0] == revision:
                self._calls.pop(key)[1].cancel()
        now = datetime.now(UTC)
        lines = [[r for r in line if r.key not in look.standing] for line in (look.urgent, look.other)]
        urgent, other = (deque(r for r in line if _rest_s(r, now) <= 0) for line in lines)
        while len(self._calls) < self._concurrency and (request := self._turns.take(urgent, other)):
            if request.key not in self._calls:  # it changed lines between the two queries of the look
                self._calls[request.key] = (request.revision, asyncio.create_task(self._draft(request)))
        return min((rest_s for line in lines for r in line if (rest_s := _rest_s(r, now)) > 0), default=None)

    async def _draft(self, request: Request) -> None:
        with span(Name.DRAFT, request.trace):
            await self._make(request)

    async def _make(self, request: Request) -> None:
        began = perf_counter()
        try:
            lease = lease_of_case(request.key.accession)
            held = {name: epoch for name, epoch in self._holder.held(Kind.CASES).items() if name == lease}
            if not held and not self._holder.is_sole:
                raise LeaseLost
            case = await self._journal.read(partial(load_with_prior, key=request.key))
            if case is None:
                raise JournalError("a draft request without its case; the journal was changed by hand")
            outcome = replace(await self._ask(request, case), trace=carried(), held=held)
            label = await self._journal.write(self._store, outcome)
            self._tell(outcome, label, perf_counter() - began)
            self._on_draft()
        except Superseded:
            await asyncio.sleep(ASK_AGAIN_S)  # a newer text has a call of its own; if there is none, it is asked again
        except LeaseLost:
            log.info("draft left to another gateway")
        except JournalError:
            log.exception("journal unavailable")
            await asyncio.sleep(ASK_AGAIN_S)
        finally:
            if self._calls.get(request.key, ("",))[0] == request.revision:
                del self._calls[request.key]
            self.alarm.ring()

    def _tell(self, outcome: Outcome, label: str, elapsed_s: float) -> None:
        draft = outcome.draft
        self._metrics.drafts.labels(label).inc()
        self._metrics.draft_seconds.observe(elapsed_s)
        for stage, ms in draft.timings_ms.items():
            if stage in STAGES:
                self._metrics.draft_stage_seconds.labels(stage).observe(ms / 1000)
        self._note_swap(draft)
        for flag in outcome.verdict.found:
            self._metrics.flags.labels(name_kind(flag), self._judge.policy.action_of(flag)).inc()
        log.info("drafted", draft_id=draft.id, outcome=label, lora=draft.lora, elapsed_s=round(elapsed_s, 3))
        if label == DraftState.BLOCKED:
            log.warning("draft kept back", draft_id=draft.id, reason=outcome.verdict.blocked)

    def _note_swap(self, draft: DraftImpression) -> None:
        """Count a radiologist for whom another version begins to write, whoever flipped the alias."""
        if draft.asked and draft.signer and self._wrote.setdefault(draft.signer, draft.asked) != draft.asked:
            self._metrics.lora_swaps.inc()
            self._wrote[draft.signer] = draft.asked

    async def _ask(self, request: Request, case: Case) -> Outcome:
        """The model's answer; whatever goes wrong with it becomes a reason, and reporting goes on (rule 4).

        Raises Superseded.
        """
        draft_id = f"D{secrets.token_hex(8)}"
        try:
            end = monotonic() + self._deadline_s
            async with asyncio.timeout(self._deadline_s):
                known = await self._remind(draft_id, case)
                answer = await self._insist(make_request(draft_id, case, self._case_secret, known), end)
            draft = _draft(draft_id, case, answer, known)
            if not draft.text:
                reason = "; ".join(draft.fallback) or "the model server gave an empty draft"
                return Outcome(request=request, verdict=Verdict(draft=draft), reason=reason)
            with span(Name.GUARD, draft_id=draft_id):
                verdict = await asyncio.to_thread(self._judge.judge, case, draft)
            return Outcome(request=request, verdict=verdict, prior=case.prior)
        except TimeoutError:
            return _none(request, case, draft_id, f"no draft within {self._deadline_s:g} s; is the model server up?")
        except Superseded:
            raise
        except ModelError as error:
            log.warning("no draft", draft_id=draft_id, exc_info=True)
            return _none(request, case, draft_id, str(error))
        except Exception as error:
            log.exception("no draft", draft_id=draft_id)
            return _none(request, case, draft_id, f"internal error ({type(error).__name__})")

    async def _remind(self, draft_id: str, case: Case) -> Recollection:
        """What the case's signer signed before; nothing where that can't be told in time (rule 4)."""
        if self._recall is None or not case.signer.id:
            return Recollection()
        try:
            async with asyncio.timeout(self._recall_s):
                return await self._recall(case)
        except TimeoutError:
            log.warning("no examples in time", draft_id=draft_id, timeout_s=self._recall_s)
        except Exception:  # a memory that fails costs the style and not the draft (rule 4)
            log.exception("no examples", draft_id=draft_id)
        return Recollection()

    async def _insist(self, request: DraftRequest, end: float) -> DraftResponse:
        """Ask again while nobody answers, until `end` on the clock. A server that restarts costs no draft.

        Each time the server is told how long the draft is still waited for, so that it drops what would come too late.
        """
        while True:
            left_ms = max(1, math.ceil((end - monotonic()) * 1000))
            try:
                with span(Name.MODEL, draft_id=request.id):
                    return await self._model.draft(replace(request, deadline_ms=left_ms))
            except ModelOverloaded as error:
                await asyncio.sleep(error.retry_after_s)
            except ModelUnavailable:
                await asyncio.sleep(ASK_AGAIN_S)

    def _store(self, conn: Connection, outcomes: Sequence[Outcome]) -> list[str]:
        """Store drafts with their outbox rows, in one transaction; a draft whose request was replaced is stale.

        Raises LeaseLost when the case of any of them is another gateway's now.
        """
        self._holder.fence(conn, {name: epoch for o in outcomes for name, epoch in o.held.items()})
        locks.hold(conn, Lock.CASE, [o.request.key.accession for o in outcomes])
        return [self._store_one(conn, o) for o in outcomes]

    def _store_one(self, conn: Connection, outcome: Outcome) -> str:
        key, draft = outcome.request.key, outcome.draft
        case = cases.load(conn, key)
        stands = drafts.is_asked(conn, key, outcome.request.revision) and cases.is_open(case)
        if not stands or case is None or case.findings_digest != draft.findings_digest:
            drafts.add(conn, key, draft, DraftState.STALE, "the text changed meanwhile")
            if case is not None and draft.text:
                noting.drafted(conn, case, draft, DraftState.STALE)
            return "stale"
        drafts.forget(conn, key)
        if outcome.reason:
            drafts.add(conn, key, draft, DraftState.NONE, outcome.reason)
            return "none"
        if case.prior != outcome.prior:  # what a draft was made from is what training learns from
            cases.save(conn, replace(case, prior=outcome.prior))
        if outcome.verdict.blocked:
            drafts.add(conn, key, draft, DraftState.BLOCKED, outcome.verdict.blocked)
            noting.drafted(conn, case, draft, DraftState.BLOCKED, outcome.verdict.blocked)
            return DraftState.BLOCKED
        drafts.add(conn, key, draft, DraftState.CURRENT)
        noting.drafted(conn, case, draft, DraftState.CURRENT)
        now, urgent = datetime.now(UTC), outcome.is_urgent
        with under(outcome.trace):
            deliveries.put(conn, self._destinations, Purpose.DRAFT, key, draft.id, at=now, urgent=urgent)
        return draft.stage


def _rest_s(request: Request, now: datetime) -> float:
    """Seconds until a text has rested; a rest longer than any was noted by a clock that was ahead."""
    rest_s = (request.ready_at - now).total_seconds()
    return rest_s if rest_s <= LONGEST_REST_S else 0.0


def _draft(draft_id: str, case: Case, answer: DraftResponse, known: Recollection) -> DraftImpression:
    sent = {example.id for example in known.examples}
    return DraftImpression(
        id=draft_id,
        text=answer.draft.strip(),
        findings_digest=case.findings_digest,
        signer=case.signer.id,
        lora=answer.lora,
        model=answer.model,
        base_digest=answer.base_digest,
        prompt_version=answer.prompt_version,
        stage=answer.stage,
        fallback=answer.fallback,
        flags=answer.flags,
        timings_ms={**answer.timings_ms, "server": answer.ms},
        strategy=answer.strategy,
        coarse_lora=answer.coarse_lora,
        memory=known.memory,
        examples=tuple(id for id in answer.examples if id in sent),
        asked=answer.asked,
        made_at=datetime.now(UTC),
    )


def _none(request: Request, case: Case, draft_id: str, reason: str) -> Outcome:
    nothing = DraftImpression(
        id=draft_id,
        text="",
        findings_digest=case.findings_digest,
        signer=case.signer.id,
        lora="",
        model="",
        base_digest="",
        prompt_version=PROMPT_VERSION,
        stage=Stage.COARSE,
        made_at=datetime.now(UTC),
    )
    return Outcome(request=request, verdict=Verdict(draft=nothing), reason=reason)
