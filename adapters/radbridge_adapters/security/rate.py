"""Token buckets: how often somebody may ask, for long and at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from math import ceil
from time import monotonic
from typing import Final

from radbridge.wire import Scope
from radbridge_adapters.resources.outcome import refuse

TURN: Final = "turn"
"""In `scope["state"]`: takes a token of a known client, and gives the seconds after which there will be one."""
_MOST: Final = 8192
"""Names that are remembered; the one that was quiet for longest is forgotten, and begins with a full bucket again."""
_LOCAL: Final = IPv6Network("fc00::/7")


@lru_cache(4096)
def network_of(host: str) -> str:
    """What an address can't leave by choosing another: one of IPv6 has 2^64 to choose from (RFC 4291 2.5.4)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


@lru_cache(4096)
def place_of(host: str) -> str:
    """The machine, as far as its address tells; for what costs little.

    From outside it is the network. Inside a hospital that is everybody's: of link-local (RFC 4291 2.5.6) and unique
    local addresses (RFC 4193) each is a machine, or says so.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    is_local = isinstance(address, IPv6Address) and (address.is_link_local or address in _LOCAL)
    return str(address) if is_local else network_of(host)


class Buckets:
    """One bucket for each name. A rate of 0 lets everything pass."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        """`burst` tokens at most; `clock` gives seconds."""
        self._rate = rate_per_s
        self._burst = float(burst)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token: 0, or the seconds after which there will be one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, at = self._left.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        is_there = tokens >= 1.0
        self._left[name] = (tokens - 1.0 if is_there else tokens, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return 0.0 if is_there else (1.0 - tokens) / self._rate

    def give_back(self, name: str) -> None:
        """A token that was taken for something which doesn't count after all."""
        if name in self._left:
            tokens, at = self._left[name]
            self._left[name] = (min(self._burst, tokens + 1.0), at)


def take_turn(scope: Scope, client: str) -> None:
    """A known client asks, on whatever wire of the port. Raises Issues (429), which says when to come again."""
    turn: Callable[[str], float] | None = scope.get("state", {}).get(TURN)
    if turn is not None and (wait_s := turn(client)):
        raise refuse("throttled", "too many requests; come again later", status=429, retry_after_s=ceil(wait_s))
