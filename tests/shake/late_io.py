"""A plugin of pytest: the journal, threads and sockets may come late, as on a machine with a slow disk.

It finds the test that rests on an order that nobody promised. What is started together may end in another order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pytest

from radbridge.journal import Journal
from tests.shake.chance import Chance

P = ParamSpec("P")
R = TypeVar("R")

_chance = Chance(share=0.15)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The same test meets the same slowness, as far as it does the same."""
    _chance.begin(item.nodeid)


def _make_late(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @wraps(call)
    async def late(*args: P.args, **kwargs: P.kwargs) -> R:
        await _chance.come_late()
        done = await call(*args, **kwargs)
        await _chance.come_late()
        return done

    return late


def pytest_configure() -> None:
    """For the whole run: what is put in place for a test only is what tests take out again."""
    places: list[tuple[Any, str]] = [
        (Journal, "write"),
        (Journal, "read"),
        (asyncio.StreamReader, "read"),
        (asyncio.StreamWriter, "drain"),
        (asyncio, "to_thread"),
    ]
    for place, name in places:
        setattr(place, name, _make_late(getattr(place, name)))
