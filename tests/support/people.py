"""Accounts and keys of a live gateway, and the requests of those who have them."""

from __future__ import annotations

from typing import Final

from radbridge.access import Role
from radbridge.journal import accounts, api_keys, passwords
from tests.support.live import LiveGateway

PASSWORD: Final = "correct horse battery"
COST: Final = 4
"""scrypt with 16 rounds in place of 32768."""


async def add(gateway: LiveGateway, name: str, *roles: Role) -> None:
    """An account with `PASSWORD`."""
    secret = passwords.seal(PASSWORD, cost=COST)
    change = accounts.Change(name=name, actor="test", via="test", roles=frozenset(roles), secret=secret)
    await gateway.journal.write(accounts.add, change)


async def key(gateway: LiveGateway, *roles: Role, scopes: tuple[str, ...] = (), account: str = "pacs") -> str:
    """A new API key."""
    wanted = api_keys.Wanted(account=account, actor="test", via="test", roles=frozenset(roles), scopes=scopes)
    return await gateway.journal.write(api_keys.make, wanted)


def bearer(token: str) -> dict[str, str]:
    """The header that shows it."""
    return {"authorization": f"Bearer {token}"} if token else {}
