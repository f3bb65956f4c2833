"""The index of the style memory: whose reports, in which order, and what left it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radbridge.memory import StyleMemory

SIGNERS = ("1001", "1002")
FINDINGS = ("Small left effusion.", "Nodule in the right lung.", "Fracture of the radius.")


def remembering(*reports: tuple[int, str, str]) -> StyleMemory:
    """A memory of reports: number, signer, findings."""
    memory = StyleMemory()
    for number, signer, findings in reports:
        memory.keep(number, signer, findings)
    return memory


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from(SIGNERS), st.sampled_from(FINDINGS), st.booleans()), max_size=30
    ),
    st.sampled_from(SIGNERS),
    st.sets(st.integers(1, 12)),
    st.integers(0, 5),
)
def test_nothing_but_theirs(steps: list[tuple[int, str, str, bool]], signer: str, without: set[int], k: int) -> None:
    """Whatever was kept and forgotten: only reports that are there, of this signer, and none that is not wanted."""
    memory, there = StyleMemory(), dict[int, str]()
    for number, whose, findings, keeps in steps:
        if keeps:
            memory.keep(number, whose, findings)
            there.setdefault(number, whose)
        else:
            memory.forget(number)
            there.pop(number, None)
    theirs = {number for number, whose in there.items() if whose == signer} - without
    alike, newest = memory.alike(signer, FINDINGS[0], k, without), memory.newest(signer, k, without)
    assert len(memory) == len(there)
    assert all(number in memory for number in there)
    assert set(alike) <= theirs
    assert len(alike) <= k
    assert newest == sorted(theirs, reverse=True)[:k]


def test_the_most_alike_first() -> None:
    """The report with the findings in question comes before those that share a word with it."""
    memory = remembering((1, "1001", FINDINGS[0]), (2, "1001", "Small left cyst."), (3, "1001", FINDINGS[1]))
    assert memory.alike("1001", FINDINGS[0], 2) == [1, 2]
    assert memory.alike("1001", FINDINGS[0], 2, without={1}) == [2]


def test_the_version_only_grows() -> None:
    """The version names the highest number that was ever kept: what is forgotten doesn't bring an older one back."""
    memory = remembering((7, "1001", FINDINGS[0]), (3, "1002", FINDINGS[1]))
    assert memory.version == "m1/7"
    memory.forget(7)
    assert (memory.version, memory.newest("1001", 3)) == ("m1/7", [])
