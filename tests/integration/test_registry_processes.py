"""One registry and several processes: publishers, promoters, readers, and one that is killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from radbridge.registry import FIRST, LoraRegistry, owner_of, verify
from tests.support.registry import OWNER, publish_new, start


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


def test_no_reader_sees_halves_of_two_flips(registry: LoraRegistry, tmp_path: Path) -> None:
    """While another process promotes v1, v2, v3 in a circle, `previous` is always the one promoted before."""
    looks = 300
    versions = [publish_new(registry, tmp_path, weights) for weights in (b"one", b"two", b"three")]
    for version in versions:
        registry.promote(version)
    before = {v.name: versions[n - 1].name for n, v in enumerate(versions)}
    promoter = start("flip", registry.root, OWNER, tmp_path)
    seen: Counter[tuple[str, str]] = Counter()
    reader = LoraRegistry(registry.root)
    try:
        while seen.total() < looks or len(seen) < len(versions):
            assert promoter.poll() is None
            found = reader.aliases(OWNER)
            assert found.champion is not None
            assert found.previous is not None
            seen[found.champion.name, found.previous.name] += 1
    finally:
        promoter.kill()
        promoter.communicate()
    assert seen.keys() == set(before.items())


def test_publishers_and_promoters_share_one_registry(registry: LoraRegistry, tmp_path: Path) -> None:
    """Four processes that publish for two owners at once: each version whole, every number its own."""
    owners = [OWNER, owner_of("rad", "900002")]
    workers = [start("publish-few", registry.root, owners[n % 2], tmp_path / f"work {n}") for n in range(4)]
    assert [w.wait() for w in workers if not w.communicate()[0]] == [0] * 4
    versions = [v for owner in owners for v in registry.versions(owner)]
    for version in versions:
        verify(version)
    assert [v.seq for v in registry.versions(OWNER)] == list(range(1, 17))
    assert sorted(v.number for v in versions) == list(range(FIRST, FIRST + 32))


def test_a_killed_publisher_leaves_a_registry(registry: LoraRegistry, tmp_path: Path) -> None:
    """After kill -9 at any step every version is whole, the aliases name one, and the next publisher cleans up."""
    names: set[str] = set()
    for round_ in range(6):
        worker = start("publish", registry.root, OWNER, tmp_path / f"work {round_}")
        assert worker.stdout is not None
        worker.stdout.read(1 + round_)
        worker.kill()
        worker.communicate()
        reader = LoraRegistry(registry.root)
        for version in reader.versions(OWNER):
            verify(version)
        assert reader.champion(OWNER) in reader.versions(OWNER)
        assert names <= {v.name for v in reader.versions(OWNER)}
        names = {v.name for v in reader.versions(OWNER)}
    publish_new(registry, tmp_path / "last", b"last")
    left = [p.name for p in registry.root.rglob(".*") if p.name != ".lock"]
    assert left == []
    numbers = [v.number for v in registry.versions(OWNER)]
    assert numbers == sorted(set(numbers))


def test_left_overs_are_nobodys_version(registry: LoraRegistry, tmp_path: Path) -> None:
    """What a killed publisher left half written is not listed, and is gone after the next publication."""
    publish_new(registry, tmp_path, b"one")
    home = registry.root / OWNER
    (home / ".new-killed").mkdir()
    (home / ".new-killed" / "adapter_model.safetensors").write_bytes(b"half")
    (home / ".new-aliases").write_bytes(b"{")
    (registry.root / ".new-numbers").write_bytes(b"{")
    assert len(LoraRegistry(registry.root).versions(OWNER)) == 1
    publish_new(LoraRegistry(registry.root), tmp_path, b"two")
    assert [p.name for p in registry.root.rglob(".*") if p.name != ".lock"] == []
