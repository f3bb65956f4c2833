"""The registry's counter: names and numbers that never come back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from radbridge.registry import FIRST, MANIFEST, NUMBERS, LoraRegistry, RegistryError, owner_of, read_personas
from radbridge_model_server.settings import PACKAGED
from tests.support.registry import OWNER, publish_new

OTHER = owner_of("rad", "900002")


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


def test_packaged_loras_stand_below_the_counter() -> None:
    """Each LoRA that comes in the package has a number of its own, which no registry ever gives."""
    numbers = [version.number for version in read_personas(PACKAGED / "loras").values()]
    assert len(numbers) == len(set(numbers)) == 3
    assert all(0 < number < FIRST for number in numbers)


def test_numbers_count_over_all_owners(registry: LoraRegistry, tmp_path: Path) -> None:
    """Every version of every owner has a number of its own, above those of packaged LoRAs; sequences are an owner's."""
    versions = [
        publish_new(registry, tmp_path, f"{owner} {n}".encode(), owner) for n in range(2) for owner in (OWNER, OTHER)
    ]
    assert [v.number for v in versions] == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert [v.seq for v in versions] == [1, 1, 2, 2]


def test_a_deleted_version_takes_its_name_and_number_along(registry: LoraRegistry, tmp_path: Path) -> None:
    """Weights that are published again after their folder was deleted get another name and another number."""
    first = publish_new(registry, tmp_path / "a", b"one")
    shutil.rmtree(first.path)
    again = publish_new(LoraRegistry(registry.root), tmp_path / "b", b"one")
    assert again.digest12 == first.digest12
    assert (again.seq, again.number) == (2, FIRST + 1)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"1001", b'{"next": 7}', b'{"next": "1001"}', b'{"next": 1001, "seqs": {"rad/1": 0}}']
)
def test_a_damaged_counter_is_never_guessed(registry: LoraRegistry, tmp_path: Path, content: bytes) -> None:
    """With a counter that can't be read nothing is published, and the error says what to do; serving goes on."""
    version = publish_new(registry, tmp_path, b"one")
    (registry.root / NUMBERS).write_bytes(content)
    with pytest.raises(RegistryError, match="backup"):
        publish_new(registry, tmp_path, b"two")
    assert registry.versions(OWNER) == [version]
    assert registry.promote(version).champion == version


def test_a_lost_counter_is_rebuilt_well_above(registry: LoraRegistry, tmp_path: Path) -> None:
    """Without a counter file the next number lies above every number there is, and above those deleted before."""
    kept, deleted = (publish_new(registry, tmp_path, weights) for weights in (b"one", b"two"))
    shutil.rmtree(deleted.path)
    (registry.root / NUMBERS).unlink()
    later = publish_new(LoraRegistry(registry.root), tmp_path, b"three")
    assert later.number > deleted.number > kept.number
    assert publish_new(registry, tmp_path, b"four", OTHER).number == later.number + 1


def test_a_lost_counter_beside_a_damaged_manifest_is_told(registry: LoraRegistry, tmp_path: Path) -> None:
    """What can't be rebuilt with certainty isn't: a number that nobody can read may be the highest."""
    version = publish_new(registry, tmp_path, b"one")
    (version.path / MANIFEST).write_text("{")
    (registry.root / NUMBERS).unlink()
    with pytest.raises(RegistryError, match="backup"):
        publish_new(LoraRegistry(registry.root), tmp_path, b"two")
    assert not (registry.root / NUMBERS).exists()


def test_an_old_counter_repeats_no_name(registry: LoraRegistry, tmp_path: Path) -> None:
    """A counter from a backup that knows less than the folders do gives no sequence number that is there."""
    publish_new(registry, tmp_path, b"one")
    (registry.root / NUMBERS).write_text(json.dumps({"next": FIRST + 50, "seqs": {}}))
    later = publish_new(LoraRegistry(registry.root), tmp_path, b"two")
    assert (later.seq, later.number) == (2, FIRST + 50)
