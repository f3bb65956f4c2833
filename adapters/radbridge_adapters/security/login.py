"""Logging in by a password: slow on purpose, alike for every reason, and not often."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

import structlog

from radbridge.config.values import is_loopback
from radbridge.errors import LoginRefused
from radbridge.journal import accounts, passwords
from radbridge.journal.accounts import Account, Attempt
from radbridge.meter import WireMeter
from radbridge.wire import Store
from radbridge_adapters.security.rate import Buckets, network_of

log = structlog.get_logger(__name__)

A_MINUTE: Final = 10
"""Wrong passwords for one name from one address, whether there is such an account or not."""
OF_AN_ADDRESS: Final = 60
"""Wrong passwords a minute from one address, whatever the names. This machine's own may be a proxy: everybody's."""
DEPARTURES_PER_S: Final = 10.0
DEPARTURES: Final = 100
"""Ways to the hospital's provider or back from it, at once from one address: they cost little."""
_AT_A_TIME: Final = 2
"""Each holds 32 MiB and a core."""
_MOST_WAITING: Final = 32


class TooOften(Exception):
    """Somebody tries too often; come again after `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__()


class Logins:
    """Checks names and passwords."""

    def __init__(self, store: Store, meter: WireMeter) -> None:
        self._store = store
        self._meter = meter
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._waiting = 0
        self._names = Buckets(A_MINUTE / 60, A_MINUTE)
        self._addresses = Buckets(OF_AN_ADDRESS / 60, OF_AN_ADDRESS)
        self._departures = Buckets(DEPARTURES_PER_S, DEPARTURES)

    def depart(self, peer: str) -> None:
        """Somebody goes to the provider, or comes back. Raises TooOften."""
        if wait_s := self._departures.take(network_of(peer)):
            raise TooOften(wait_s)

    async def by_password(self, name: str, password: str, *, peer: str) -> Account:
        """The account. Raises LoginRefused, after the same time whatever the reason is, and TooOften.

        A token is taken before, and given back to who gets in: many tries at once are counted too, and whoever knows
        the password is never kept out by having used it.
        """
        buckets = self._take(name, peer)
        self._waiting += 1
        try:
            async with self._turns:
                account = await self._store.read(lambda conn: accounts.find(conn, name))
                fits = await asyncio.to_thread(passwords.fits, password, account.secret if account else b"")
        finally:
            self._waiting -= 1
        reason = _why_not(account, fits=fits)
        await self.tell(Attempt(name=name, reason=reason, via="password", peer=peer))
        if account is None or reason:
            raise LoginRefused(reason)
        for bucket, key in buckets:
            bucket.give_back(key)
        return account

    def _take(self, name: str, peer: str) -> list[tuple[Buckets, str]]:
        """Count a try. A made-up name of any length costs no more memory than another. Raises TooOften."""
        if self._waiting >= _MOST_WAITING:
            raise TooOften(1.0)
        place = network_of(peer)  # each of a machine's many addresses would be a new bucket
        of_name = hashlib.sha256(f"{place} {name}".encode("utf-8", "surrogatepass")).hexdigest()
        buckets = [(self._names, of_name)]
        if not is_loopback(peer):
            buckets.append((self._addresses, place))
        if wait_s := max(bucket.take(key) for bucket, key in buckets):
            raise TooOften(wait_s)
        return buckets

    async def tell(self, attempt: Attempt) -> None:
        """Count a login, lock what is tried too often, note it in the audit trail."""
        self._meter.logged_in(let_in=not attempt.reason)
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
