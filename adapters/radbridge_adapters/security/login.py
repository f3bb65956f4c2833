"""Logging in by a password: slow on purpose, alike for every reason, and not often."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from radbridge.errors import LoginRefused
from radbridge.journal import accounts, passwords
from radbridge.journal.accounts import Account, Attempt
from radbridge.meter import WireMeter
from radbridge.wire import Store
from radbridge_adapters.security.rate import Buckets

log = structlog.get_logger(__name__)

A_MINUTE: Final = 10
"""Logins of one address."""
_AT_A_TIME: Final = 2
"""Each holds 32 MiB and a core."""
_MOST_WAITING: Final = 32


class Logins:
    """Checks names and passwords."""

    def __init__(self, store: Store, meter: WireMeter) -> None:
        self._store = store
        self._meter = meter
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._waiting = 0
        self._addresses = Buckets(A_MINUTE / 60, A_MINUTE)

    def delay(self, peer: str) -> float:
        """Seconds until this address may try; 0: now, and the try is counted."""
        return 1.0 if self._waiting >= _MOST_WAITING else self._addresses.take(peer)

    async def by_password(self, name: str, password: str, *, peer: str) -> Account:
        """The account. Raises LoginRefused, after the same time whatever the reason is."""
        account = await self._store.read(lambda conn: accounts.find(conn, name))
        self._waiting += 1
        try:
            async with self._turns:
                fits = await asyncio.to_thread(passwords.fits, password, account.secret if account else b"")
        finally:
            self._waiting -= 1
        reason = _why_not(account, fits=fits)
        await self.tell(Attempt(name=name, reason=reason, via="password", peer=peer))
        if account is None or reason:
            raise LoginRefused(reason)
        return account

    async def tell(self, attempt: Attempt) -> None:
        """Count a login, lock what is tried too often, note it in the audit trail."""
        self._meter.logged_in(attempt.reason or "ok")
        if attempt.reason:
            log.warning("login refused", peer=attempt.peer, reason=attempt.reason, method=attempt.via)
        await self._store.write_first(accounts.note_attempts, attempt)


def _why_not(account: Account | None, *, fits: bool) -> str:
    """Locked comes before wrong: whoever guesses on learns nothing, and keeps nobody out for longer."""
    if account is None:
        return "unknown"
    if account.disabled:
        return "disabled"
    if account.is_locked:
        return "locked"
    return "" if fits else "password"
