"""Bells: who may have work is told at once, and looks now and then without being told.

On PostgreSQL they are heard in every gateway. A ring is sent after the commit of what it tells of and never in that
transaction: NOTIFY takes a lock of the whole database at COMMIT, and every acknowledgement would wait for it. Its
payload is a topic, which names nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import structlog

from radbridge.journal.locks import SHOW_LIFE, sign_of_life
from radbridge.wire import Bells

if TYPE_CHECKING:  # an extra: on SQLite nobody needs it
    import psycopg

Callback = Callable[[str], None]

log = structlog.get_logger(__name__)

CHANNEL = "radbridge"
TOGETHER_S = 0.01
"""Topics that are rung within this time go out together, each once."""
RETRY_S = 1.0
_LISTEN_S = 1.0
"""How long a closed bell's thread may still listen."""


class LocalBells(Bells):
    """Heard in this process alone, which is all of them on SQLite."""

    def __init__(self) -> None:
        self._heard: dict[str, list[Callback]] = {}

    def ring(self, topic: str) -> None:
        """Call who listens to the topic, and who listens to its word."""
        for name in dict.fromkeys((topic, topic.partition(":")[0])):
            for callback in tuple(self._heard.get(name, ())):
                callback(topic)

    def on(self, topic: str, callback: Callback) -> None:
        """From now on."""
        self._heard.setdefault(topic, []).append(callback)

    def off(self, topic: str, callback: Callback) -> None:
        """What was never asked for may be ended too."""
        heard = self._heard.get(topic, [])
        if callback in heard:
            heard.remove(callback)
        if not heard:
            self._heard.pop(topic, None)


class PostgresBells(LocalBells):
    """Heard in this process at once, and in all that listen to the same database.

    Two threads with a connection each: one listens, one sends. A ring that is lost, because a connection was, is made
    up for by whoever looks without one; when the listener is back, everybody is rung once.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], loop: asyncio.AbstractEventLoop, me: str) -> None:
        """`connect` opens a connection in autocommit; behind PgBouncer it needs a session of its own.

        `me` is the gateway's id. The session that listens is its sign of life: the server knows at once when a process
        has ended, and that one which only stands still has not.
        """
        super().__init__()
        self._me = me
        self._connect = connect
        self._loop = loop
        self._waiting: set[str] = set()
        self._work = threading.Condition()
        self._closed = False
        self._sender_pid = 0
        self._threads = [
            threading.Thread(target=self._keep, args=(part,), name=f"bells-{name}", daemon=True)
            for name, part in (("listening", self._listen), ("sending", self._send))
        ]

    def start(self) -> None:
        """Begin to listen and to send."""
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Send what was rung, and end."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                await asyncio.to_thread(thread.join)

    def ring(self, topic: str) -> None:
        """Here at once, elsewhere in a moment."""
        super().ring(topic)
        with self._work:
            if not self._waiting:  # otherwise the thread is awake already; in a burst that would be once a message
                self._work.notify_all()
            self._waiting.add(topic)

    def _keep(self, part: Callable[[psycopg.Connection], None]) -> None:
        """Do a part until closed, on a new connection whenever one is lost."""
        while not self._closed:
            try:
                with closing(self._connect()) as conn:
                    part(conn)
            except Exception:  # polling does the work meanwhile; without this nobody would ever hear again
                log.warning("no bells; work is looked for without them", exc_info=True, retry_in_s=RETRY_S)
                with self._work:
                    self._work.wait_for(lambda: self._closed, RETRY_S)

    def _listen(self, conn: psycopg.Connection) -> None:
        conn.execute(SHOW_LIFE, (sign_of_life(self._me),))
        conn.execute(f"LISTEN {CHANNEL}")
        self._hear(self._everything())  # whatever was rung before nobody heard
        while not self._closed:
            for note in conn.notifies(timeout=_LISTEN_S):
                if note.pid != self._sender_pid:  # our own was heard at once
                    self._hear([note.payload])

    def _send(self, conn: psycopg.Connection) -> None:
        self._sender_pid = conn.info.backend_pid
        while True:
            with self._work:
                self._work.wait_for(lambda: self._waiting or self._closed)
                if not self._closed:
                    self._work.wait_for(lambda: self._closed, TOGETHER_S)
                topics, self._waiting = sorted(self._waiting), set()
            if topics:
                conn.execute("SELECT pg_notify(%s, topic) FROM unnest(%s::text[]) topic", (CHANNEL, topics))
            elif self._closed:
                return

    def _hear(self, topics: Iterable[str]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left who would want to know
            self._loop.call_soon_threadsafe(self._tell, tuple(topics))

    def _tell(self, topics: Iterable[str]) -> None:
        for topic in topics:
            super().ring(topic)

    def _everything(self) -> tuple[str, ...]:
        return tuple(self._heard)
