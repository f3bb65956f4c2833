"""The life of LoRA versions, against a model in memory: whatever is done in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from radbridge.errors import LoraRefused
from radbridge.registry import FIRST, WEIGHTS, Aliases, LoraRegistry, LoraVersion, RegistryError, owner_of
from tests.support.registry import OWNER, publish, publish_new, publish_rivals, trained

OWNERS = (OWNER, owner_of("rad", "900002"), "site/main")
owners = st.sampled_from(OWNERS)


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


@dataclass
class Expected:
    """What an owner's aliases should be."""

    champion: LoraVersion | None = None
    challenger: LoraVersion | None = None
    previous: LoraVersion | None = None
    there: list[LoraVersion] = field(default_factory=list)


class Life(RuleBasedStateMachine):
    """Publishes, puts on trial, promotes, rolls back, withdraws and deletes; the registry is opened anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Path(tempfile.mkdtemp(prefix="registry-"))
        self.owners = {owner: Expected() for owner in OWNERS}
        self.given: dict[str, int] = {}

    @property
    def registry(self) -> LoraRegistry:
        """A registry as the next process sees it."""
        return LoraRegistry(self.work / "registry")

    def teardown(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.work)

    def chosen(self, owner: str, index: int) -> LoraVersion | None:
        there = self.owners[owner].there
        return there[index % len(there)] if there else None

    @rule(owner=owners, weights=st.sampled_from([b"one", b"two", b"three", b"four"]))
    def publish(self, owner: str, weights: bytes) -> None:
        """The same weights are the same version, unless that was deleted: then they are a new one."""
        source = trained(self.work / f"made {len(list(self.work.iterdir()))}", weights)
        version = publish(self.registry, source, owner)
        if version not in self.owners[owner].there:
            assert version.name not in self.given
            assert version.number not in self.given.values()
            self.given[version.name] = version.number
            self.owners[owner].there.append(version)
        assert self.given[version.name] == version.number

    @rule(owner=owners, index=st.integers(0, 9))
    def promote(self, owner: str, index: int) -> None:
        """The champion steps back, and a challenger that won is on trial no more."""
        expected, version = self.owners[owner], self.chosen(owner, index)
        if version is None:
            return
        self.registry.promote(version)
        if version != expected.champion:
            expected.champion, expected.previous = version, expected.champion
        if version == expected.challenger:
            expected.challenger = None

    @rule(owner=owners, index=st.integers(0, 9))
    def challenge(self, owner: str, index: int) -> None:
        """Any version but the champion may challenge it."""
        expected, version = self.owners[owner], self.chosen(owner, index)
        if version is None:
            return
        if version == expected.champion:
            with pytest.raises(RegistryError, match="champion"):
                self.registry.challenge(version)
            return
        self.registry.challenge(version)
        expected.challenger = version

    @rule(owner=owners)
    def roll_back(self, owner: str) -> None:
        """Champion and previous change places; without a previous version nothing changes."""
        expected = self.owners[owner]
        if expected.previous is None:
            with pytest.raises(RegistryError):
                self.registry.rollback(owner)
            return
        self.registry.rollback(owner)
        expected.champion, expected.previous = expected.previous, expected.champion
        if expected.challenger == expected.champion:
            expected.challenger = None

    @precondition(lambda self: any(e.there for e in self.owners.values()))
    @rule(owner=owners)
    def withdraw(self, owner: str) -> None:
        """The trial ends; the champion stays."""
        if not self.owners[owner].there:
            return
        self.registry.withdraw_challenger(owner)
        self.owners[owner].challenger = None

    @rule(owner=owners)
    def retire(self, owner: str) -> None:
        """Nobody drafts for the owner but a persona, the site or the base, until one is promoted or brought back."""
        expected = self.owners[owner]
        if not expected.there:
            return
        self.registry.retire(owner)
        if expected.champion:
            expected.champion, expected.previous = None, expected.champion

    @rule(owner=owners, index=st.integers(0, 9))
    def win(self, owner: str, index: int) -> None:
        """A trial that is won makes its challenger champion; where it ended otherwise meanwhile, nothing changes."""
        expected, version = self.owners[owner], self.chosen(owner, index)
        if version is None:
            return
        self.registry.win(version)
        if version == expected.challenger:
            expected.champion, expected.previous, expected.challenger = version, expected.champion, None

    @rule(owner=owners, index=st.integers(0, 9), times=st.integers(1, 2))
    def lose(self, owner: str, index: int, times: int) -> None:
        """A version that does harm leaves service once, however many gateways saw it."""
        expected, version = self.owners[owner], self.chosen(owner, index)
        if version is None:
            return
        for _ in range(times):
            self.registry.lose(version)
        if version == expected.challenger:
            expected.challenger = None
        elif version == expected.champion:
            expected.champion, expected.previous = expected.previous, version
            if expected.challenger is not None and expected.challenger == expected.champion:
                expected.challenger = None

    @rule(owner=owners, index=st.integers(0, 9))
    def delete(self, owner: str, index: int) -> None:
        """An operator removes a folder that no alias names."""
        expected, version = self.owners[owner], self.chosen(owner, index)
        if version is None or version in (expected.champion, expected.challenger, expected.previous):
            return
        shutil.rmtree(version.path)
        expected.there.remove(version)

    @invariant()
    def stands(self) -> None:
        """Versions and aliases are those expected, whether asked for together or alone."""
        for owner, expected in self.owners.items():
            registry = self.registry
            found = registry.aliases(owner)
            assert registry.versions(owner) == expected.there
            assert (found.champion, found.challenger, found.previous) == (
                expected.champion,
                expected.challenger,
                expected.previous,
            )
            assert registry.champion(owner) == expected.champion
            assert registry.challenger(owner) == expected.challenger
            assert registry.previous(owner) == expected.previous

    @invariant()
    def numbers(self) -> None:
        """Numbers are the registry's own, and no two versions ever had one in common."""
        assert len(set(self.given.values())) == len(self.given)
        assert all(number >= FIRST for number in self.given.values())


Life.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_life = Life.TestCase


def test_going_back_twice_ends_where_it_began(registry: LoraRegistry, tmp_path: Path) -> None:
    """A rollback is undone by a rollback."""
    first, second = (publish_new(registry, tmp_path, weights) for weights in (b"one", b"two"))
    registry.promote(first)
    registry.promote(second)
    assert registry.rollback(OWNER).champion == first
    assert registry.rollback(OWNER).champion == second


def test_nothing_to_go_back_to(registry: LoraRegistry, tmp_path: Path) -> None:
    """Where there was no version before the champion, and where there is none at all, the error says what to do."""
    with pytest.raises(RegistryError, match="publish one first"):
        registry.rollback(OWNER)
    registry.promote(publish_new(registry, tmp_path, b"one"))
    with pytest.raises(RegistryError, match="promote"):
        registry.rollback(OWNER)


def test_a_champion_that_does_harm_goes_where_its_predecessor_is_damaged(
    registry: LoraRegistry, tmp_path: Path
) -> None:
    """Where the previous version's files aren't those that were published, nobody is champion, and none is refused."""
    first, second = (publish_new(registry, tmp_path, weights) for weights in (b"one", b"two"))
    registry.promote(first)
    registry.promote(second)
    (first.path / WEIGHTS).write_bytes(b"other")
    assert registry.lose(second) == Aliases(previous=second)


def test_a_champion_that_does_harm_goes_where_its_predecessor_is_barred(registry: LoraRegistry, tmp_path: Path) -> None:
    """Where the previous version must not come back, nobody is champion; where another must not, it comes back."""
    first, second, third = (publish_new(registry, tmp_path, weights) for weights in (b"one", b"two", b"three"))
    for version in (first, second, third):
        registry.promote(version)
    assert registry.lose(third, barred={first.name}) == Aliases(champion=second, previous=third)
    assert registry.lose(second, barred={third.name}) == Aliases(previous=second)


def test_who_comes_too_late_is_told_that_nothing_changed(registry: LoraRegistry, tmp_path: Path) -> None:
    """A trial that has ended is neither won nor lost again: the caller learns that it wasn't the one who flipped."""
    first, second = publish_rivals(registry, tmp_path)
    assert registry.win(second) == Aliases(champion=second, previous=first)
    assert (registry.win(second), registry.lose(first)) == (None, None)


def test_a_version_of_another_registry_is_not_promoted(registry: LoraRegistry, tmp_path: Path) -> None:
    """A version that isn't in this registry can't become its champion, even where the owner is the same."""
    mine = publish_new(registry, tmp_path / "here", b"one")
    other = publish_new(LoraRegistry(tmp_path / "other"), tmp_path / "there", b"two")
    with pytest.raises(LoraRefused):
        registry.promote(other)
    assert registry.promote(mine).champion == mine
