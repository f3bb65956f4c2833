"""What RadBridge does with the DIMSE requests that come in; every answer stands behind its commit (rule 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from radbridge.config import Dicom
from radbridge.journal import dicom as journal
from radbridge.journal.dicom import Begun, Kept
from radbridge.traces import answering
from radbridge.wire import Desk
from radbridge_adapters.dicom.encoding.bulk import is_whole
from radbridge_adapters.dicom.incoming.availability import read_notification
from radbridge_adapters.dicom.incoming.commitment import refuse_commitment, report_again
from radbridge_adapters.dicom.incoming.reception import WIRE, Fault, Reception, reject
from radbridge_adapters.dicom.incoming.steps import OUTCOMES, Steps
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.classes import AVAILABILITY, kind_of
from radbridge_adapters.dicom.network.services import (
    ActRequest,
    Answer,
    CreateRequest,
    Event,
    Request,
    SetRequest,
    StoreRequest,
)

log = structlog.get_logger(__name__)

LARGE = 64 * 1024
"""Bytes of a header from which on it is read off the event loop."""
_REMEMBERED = 4096
Asked = TypeVar("Asked", bound=Request)
Judged = TypeVar("Judged")


class JournalServices:
    """The `Services` of a gateway: what comes is judged, committed, then answered."""

    def __init__(self, settings: Dicom, desk: Desk) -> None:
        self._settings = settings
        self._desk = desk
        self._reception = Reception(settings)
        self._steps = Steps(settings)
        self._told: set[tuple[str, str]] = set()
        """Studies, each with the context of an object that is committed."""

    async def store(self, request: StoreRequest) -> Answer:
        """Keep what an object says."""
        with answering(self._desk.meter, WIRE):
            judged = await _read(self._reception.judge, request)
            if isinstance(judged, Fault):
                return await self._refuse(request, judged)
            await self._keep(judged)
            return self._accept(request)

    async def _keep(self, item: Kept) -> None:
        """Most slices say nothing new: the processor isn't woken for each of a thousand a second."""
        told = (item.study_uid, item.context)
        if told in self._told:
            item = replace(item, is_repeat=True)
        if await self._desk.store.write_first(journal.keep, item):
            await self._desk.commit(journal.keep, item)  # it is kept by now: this only has it applied
            # It may have been a correction: what its study said before is looked up again.
            self._told = {other for other in self._told if other[0] != item.study_uid}
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(told)

    async def create(self, request: CreateRequest) -> Answer:
        """Keep a procedure step that begins, or a notification."""
        with answering(self._desk.meter, WIRE):
            return await self._create(request)

    async def _create(self, request: CreateRequest) -> Answer:
        if request.sop_class == AVAILABILITY:
            return await self._notify(request)
        judged = await _read(self._steps.begin, request)
        if isinstance(judged, Fault):
            return await self._refuse(request, judged)
        return await self._begin(request, judged)

    async def _begin(self, request: CreateRequest, step: Begun) -> Answer:
        outcome = OUTCOMES[await self._desk.commit(journal.begin_step, step)]
        if outcome.status != status.SUCCESS:
            return await self._refuse(request, outcome)
        return self._accept(request, sop_instance=step.sop_uid)

    async def _notify(self, request: CreateRequest) -> Answer:
        judged = await _read(partial(read_notification, settings=self._settings), request)
        if isinstance(judged, Fault):
            return await self._refuse(request, judged)
        await self._desk.commit(journal.file, judged)
        return self._accept(request)

    async def set(self, request: SetRequest) -> Answer:
        """Change a procedure step."""
        with answering(self._desk.meter, WIRE):
            return await self._set(request)

    async def _set(self, request: SetRequest) -> Answer:
        judged = await _read(self._steps.change, request)
        if isinstance(judged, Fault):
            return await self._refuse(request, judged)
        outcome = OUTCOMES[await self._desk.commit(journal.change_step, judged)]
        if outcome.status == status.SUCCESS:
            return self._accept(request)
        answer = await self._refuse(request, outcome)
        is_final = outcome.status == status.PROCESSING_FAILURE
        return replace(answer, error=status.STEP_MAY_NO_LONGER_BE_UPDATED) if is_final else answer

    async def act(self, request: ActRequest) -> tuple[Answer, Event | None]:
        """Answer a storage commitment request: nothing is kept of it, since nothing is committed to."""
        judged = await _read(partial(refuse_commitment, settings=self._settings), request)
        if isinstance(judged, Fault):
            return await self._refuse(request, judged), None
        return self._accept(request), judged

    async def unreported(self, request: ActRequest, event: Event) -> None:
        """Report over an association of our own."""
        await report_again(request, event, self._settings)

    async def abandoned(self, request: Request, reason: str) -> None:
        """Keep what was read of an object that came to nothing."""
        await self._desk.reject(reject(request, reason, "the object didn't come whole or can't be walked"))

    def _accept(self, request: Request, *, sop_instance: str = "") -> Answer:
        kind = kind_of(request.abstract_syntax, is_report=is_whole(request.abstract_syntax))
        self._desk.count(WIRE, kind, "accepted")
        return Answer(status=status.SUCCESS, sop_instance=sop_instance)

    async def _refuse(self, request: Request, fault: Fault) -> Answer:
        await self._desk.reject(reject(request, fault.reason, fault.detail))
        log.warning(
            "object refused",
            peer=request.peer_name or request.peer,
            sop_class=request.abstract_syntax,
            reason=fault.reason,
        )
        return fault.answer


async def _read(judge: Callable[[Asked], Judged], request: Asked) -> Judged:
    """Judge a request; a large one off the event loop."""
    if len(request.header.elements) > LARGE:
        return await asyncio.to_thread(judge, request)
    return judge(request)
