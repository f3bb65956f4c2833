"""Editors at work side by side: an edit takes a fraction of a second of a processor, and a run has thousands."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from tests.bench.loop.editor import edit
from tests.bench.loop.forms import Form
from tests.bench.loop.people import Signer

_FEW = 100


@contextmanager
def hire(form: Form) -> Iterator[Executor]:
    """As many editors as there are cores; for a few edits none is worth a process of its own."""
    many = form.people * form.total > _FEW
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) if many else ThreadPoolExecutor(1) as hands:
        yield hands


async def edit_by(hands: Executor, draft: str, signer: Signer, number: int) -> str:
    """`edit` of the signer's case of this number."""
    return await asyncio.get_running_loop().run_in_executor(hands, edit, draft, signer.cases[number], signer.persona)
