"""Token buckets, by a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.security.rate import Buckets, network_of, place_of


class Clock:
    """Seconds, as they are set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_nobody_gets_more_than_the_rate_and_the_burst(rate: float, burst: int, pauses: list[float]) -> None:
    """In any time, at most `burst + rate * time` pass; and who waits as long as told passes then."""
    clock = Clock()
    buckets = Buckets(rate, burst, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        wait_s = buckets.take("a")
        passed += wait_s == 0
        assert passed <= burst + rate * (clock.now - 100.0) + 1e-6
        if wait_s:
            clock.now += wait_s * 1.001 + 1e-6
            assert buckets.take("a") == 0
            passed += 1


def test_names_are_apart_and_zero_lets_everything_pass() -> None:
    """One who asks too often takes nothing from another; a rate of 0 is none."""
    buckets = Buckets(1.0, 1, Clock())
    assert [buckets.take(name) > 0 for name in "aab"] == [False, True, False]
    free = Buckets(0.0, 1, Clock())
    assert not any(free.take("a") for _ in range(100))


def test_a_bucket_is_a_machines() -> None:
    """IPv4 and a hospital's own IPv6: each address. IPv6 from outside: the network, whose addresses are one's own."""
    hosts = ["fe80::1", "fe80::2", "fe80::1%eth0", "fd00:1::5", "fd00:1::6", "10.0.0.1", "10.0.0.2", "2001:db8::1"]
    assert len({place_of(host) for host in hosts}) == len(hosts)
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:2") != place_of("2001:db8:0:1::1")
    assert place_of("::ffff:10.0.0.1") == place_of("10.0.0.1")


def test_a_network_is_one_whatever_addresses_it_makes_up() -> None:
    """What guessing is counted by: of IPv6 the /64, in the hospital too; IPv4 each address."""
    for first, second, other in (
        ("fe80::1", "fe80::2%eth0", "fd00::1"),
        ("fd00:1::5", "fd00:1::6", "fd00:1:0:1::5"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"),
    ):
        assert network_of(first) == network_of(second) != network_of(other)
