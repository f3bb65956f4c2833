"""The forwarder: every event of the chain, in its order, to an audit repository; one worker in a cluster.

RFC 5425 has no receipt: what was written may be lost in a connection that breaks. So the cursor stays behind what was
written lately, and that goes again by the next connection. A repository knows it by its number. What was written a
while ago over a connection that still stands has arrived.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy import Connection, select

from radbridge.errors import DeliveryFailed, JournalError
from radbridge.journal import audit
from radbridge.journal.audit import SYSLOG
from radbridge.journal.schema import cursors
from radbridge.journal.upsert import insert
from radbridge.wire import Store
from radbridge_adapters.security.tls import REFUSED_S
from radbridge_adapters.syslog.message import Format, write_frame, write_message

log = structlog.get_logger(__name__)

BEHIND = 10_000
"""Events, of 1 KB or more, that may be lost with a connection: Linux holds some 10 MB for a peer that doesn't read."""
AT_ONCE = 200
LOOK_S = 1.0
ARRIVES_S = 30.0
"""What was written so long ago has arrived if the connection still stands."""
CONNECT_S = 10.0
WRITE_S = 30.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0

_SET = insert(cursors)
_MOVE = _SET.on_conflict_do_update(index_elements=["name"], set_={"seq": _SET.excluded.seq, "at": _SET.excluded.at})


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """Who gets the events, and how."""

    host: str
    port: int
    tls: ssl.SSLContext | None = field(repr=False)
    server_name: str
    format: Format

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection. Raises OSError, TimeoutError."""
        name = self.server_name if self.tls else None
        async with asyncio.timeout(CONNECT_S):
            return await asyncio.open_connection(self.host, self.port, ssl=self.tls, server_hostname=name)

    async def ping(self) -> None:
        """Raise DeliveryFailed when nobody answers there as they should.

        A repository never says a word: one that hangs up at once doesn't take our certificate.
        """
        try:
            reader, writer = await self.open()
        except (OSError, TimeoutError) as error:
            told = f"nobody at {self.host}:{self.port} takes syslog ({type(error).__name__}); see audit.syslog"
            raise DeliveryFailed("audit.syslog", told, sent=False) from None
        try:
            async with asyncio.timeout(REFUSED_S):
                await reader.read(1)
        except TimeoutError:
            return
        except OSError:
            pass
        finally:
            writer.transport.abort()
        told = f"{self.host}:{self.port} hangs up at once; does it take our certificate (audit.syslog.cert_file)?"
        raise DeliveryFailed("audit.syslog", told, sent=False)


class _Closed(Exception):
    """The repository closed the connection."""


class Forwarder:
    """A `radbridge.wire.Worker`."""

    name = SYSLOG

    def __init__(self, store: Store, repository: Repository) -> None:
        self._store = store
        self._to = repository

    async def run(self) -> None:
        """Send until cancelled; a repository that can't be reached is tried again, and nothing is lost meanwhile."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._connect_and_send()
            except (OSError, TimeoutError, _Closed) as error:
                address = f"{self._to.host}:{self._to.port}"
                log.warning(
                    "audit repository not reached", address=address, reason=type(error).__name__, retry_in_s=retry_s
                )
            except JournalError:
                log.exception("journal unavailable", retry_in_s=retry_s)
            else:
                retry_s = FIRST_RETRY_S
            await asyncio.sleep(retry_s)
            retry_s = min(LAST_RETRY_S, retry_s * 2)

    async def _connect_and_send(self) -> None:
        """One connection, until the repository closes it after having taken something. Raises what run handles."""
        reader, writer = await self._to.open()
        # Nothing is ever said to us: a read that ends is the end of the connection.
        ended = asyncio.ensure_future(reader.read(1))
        try:
            if not await self._send(writer, ended):
                raise _Closed
        finally:
            ended.cancel()
            writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, ended: asyncio.Future[bytes]) -> int:
        """How many events went out before the repository closed."""
        time, sent = asyncio.get_running_loop().time, 0
        noted = arrived = position = await self._store.read(_read_cursor)
        written = deque[tuple[float, int]]()
        while not ended.done():
            events = await self._store.read(partial(audit.chained, after=position, at_most=AT_ONCE))
            if events:
                writer.writelines(write_frame(write_message(event, self._to.format)) for event in events)
                async with asyncio.timeout(WRITE_S):
                    await writer.drain()
                position, sent = events[-1].seq, sent + len(events)
                written.append((time(), position))
            else:
                looked_at = time()  # not behind the wait: on a machine that stood still an end is seen late
                await asyncio.wait({ended}, timeout=LOOK_S)
                while not ended.done() and written and written[0][0] <= looked_at - ARRIVES_S:
                    arrived = written.popleft()[1]
            arrived = max(arrived, position - BEHIND)
            if arrived > noted:
                await self._store.write(_write_cursor, arrived)
                noted = arrived
        return sent


def _read_cursor(conn: Connection) -> int:
    """The last event that a repository has for sure."""
    found: int | None = conn.execute(select(cursors.c.seq).where(cursors.c.name == SYSLOG)).scalar()
    return found or 0


def _write_cursor(conn: Connection, items: Sequence[int]) -> list[None]:
    """It only ever goes on: after a reconnect the same events go again."""
    seq = max(*items, _read_cursor(conn))
    conn.execute(_MOVE, {"name": SYSLOG, "seq": seq, "at": datetime.now(UTC)})
    return [None] * len(items)
