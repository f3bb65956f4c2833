"""Reading server-sent events: the same however the bytes are cut, and bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_model_server.engines.sse import LONGEST, NotEvents, read_events


async def arrive(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def read(*blocks: bytes) -> list[bytes]:
    return [event async for event in read_events(arrive(blocks))]


lines = st.binary(max_size=20).filter(lambda line: not set(line) & set(b"\r\n"))


@given(st.lists(st.lists(lines, min_size=1, max_size=3), max_size=5), st.data(), st.sampled_from([b"\n", b"\r\n"]))
async def test_events_are_the_same_however_they_are_cut(
    events: list[list[bytes]], data: st.DataObject, end: bytes
) -> None:
    """Events of one or more lines come out as they went in, whatever blocks the network makes of them."""
    sent = b"".join(b"".join(b"data: " + line + end for line in event) + end for event in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    blocks = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert await read(*blocks) == [b"\n".join(event) for event in events]


async def test_what_is_no_data_is_passed_over() -> None:
    """Comments, names, ids and events without data don't come out; a missing last empty line doesn't matter."""
    assert await read(b": hello\n\nevent: x\nid: 1\n\nretry: 5\ndata:a\n: b\ndata: b\n\n\ndata: c") == [b"a\nb", b"c"]


@pytest.mark.parametrize("block", [b"x" * 2**16, b"data: x\n" * 2**13], ids=["line", "event"])
async def test_an_event_without_end_is_refused(block: bytes) -> None:
    """A line or an event above the bound raises, after a few times the bound was taken in at most."""
    taken = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += len(block)
            yield block

    with pytest.raises(NotEvents):
        _ = [event async for event in read_events(flood())]
    assert taken <= 5 * LONGEST
