"""The LoRA registry on disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import LoraRefused
from radbridge.registry import (
    MANIFEST,
    PEFT_CONFIG,
    WEIGHTS,
    LoraRegistry,
    LoraVersion,
    RegistryError,
    digest_weights,
    is_owner,
    owner_of,
    read_personas,
    read_version,
    verify,
)

OWNER = owner_of("rad", "900001")


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


def trained(folder: Path, content: bytes = b"weights") -> Path:
    """A folder as a trainer leaves it, with what must not be published."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(content)
    (folder / PEFT_CONFIG).write_text(json.dumps({"r": 8, "target_modules": ["q_proj", "v_proj"]}))
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "ref").mkdir()
    return folder


def publish(registry: LoraRegistry, folder: Path, owner: str = OWNER) -> LoraVersion:
    return registry.publish(folder, owner, base_digest="b" * 64, prompt_version="p1", parent="", recipe="sft")


@given(st.text(min_size=1))
def test_any_id_becomes_one_folder_below_the_root(id: str) -> None:
    """Whatever a peer calls a radiologist, the owner's folder is exactly two levels below the registry's root."""
    owner = owner_of("rad", id)
    assert is_owner(owner)
    assert len((Path("/root") / owner).resolve().relative_to("/root").parts) == 2
    assert len(owner) < 128
    assert owner.isascii()


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_ids_are_different_owners(one: str, other: str) -> None:
    """Two radiologists never share a folder, the very long ids included."""
    long = "x" * 200
    assert (owner_of("rad", one) == owner_of("rad", other)) == (one == other)
    assert (owner_of("rad", long + one) == owner_of("rad", long + other)) == (one == other)


@pytest.mark.parametrize(("kind", "id"), [("rad", ""), ("other", "900001"), ("../rad", "1")])
def test_an_owner_needs_a_kind_and_an_id(kind: str, id: str) -> None:
    """Anything but a known kind with an id raises RegistryError."""
    with pytest.raises(RegistryError):
        owner_of(kind, id)


@pytest.mark.parametrize("owner", ["rad/../site", "rad/a/b", "../rad/1", "rad/", "/etc/passwd", "rad/1\n", ""])
def test_a_path_is_no_owner(registry: LoraRegistry, owner: str) -> None:
    """A name that `owner_of` didn't make is never turned into a path."""
    with pytest.raises(RegistryError):
        registry.versions(owner)


def test_published_is_not_yet_served(registry: LoraRegistry, tmp_path: Path) -> None:
    """A version is found by its owner as soon as it is published, and is the champion only once promoted."""
    version = publish(registry, trained(tmp_path / "a"))
    assert registry.versions(OWNER) == [version]
    assert registry.champion(OWNER) is None
    registry.promote(version)
    assert registry.champion(OWNER) == version


def test_a_version_tells_what_it_is(registry: LoraRegistry, tmp_path: Path) -> None:
    """Name, base, prompt version, rank and targets are those published; the manifest keeps what else was told."""
    version = publish(registry, trained(tmp_path / "a"))
    assert version.name == f"rad/900001@v1-{digest_weights(version.path)[:12]}"
    assert (version.base_digest, version.prompt_version) == ("b" * 64, "p1")
    assert (version.rank, version.targets) == (8, ("q_proj", "v_proj"))
    manifest = json.loads((version.path / MANIFEST).read_bytes())
    assert manifest["version"] == version.name
    assert manifest["recipe"] == "sft"


def test_only_what_is_loaded_is_published(registry: LoraRegistry, tmp_path: Path) -> None:
    """Pickles and other left-overs of training stay out of the registry."""
    version = publish(registry, trained(tmp_path / "a"))
    assert {p.name for p in version.path.iterdir()} == {WEIGHTS, PEFT_CONFIG, MANIFEST}


def test_versions_count_up_and_are_kept(registry: LoraRegistry, tmp_path: Path) -> None:
    """Each new set of weights is the next version; promoting the newer keeps the older as `previous`."""
    first = publish(registry, trained(tmp_path / "a", b"one"))
    second = publish(registry, trained(tmp_path / "b", b"two"))
    assert [v.seq for v in registry.versions(OWNER)] == [1, 2]
    registry.promote(first)
    registry.promote(second)
    registry.promote(second)
    assert registry.champion(OWNER) == second
    assert registry.previous(OWNER) == first


def test_the_same_weights_are_one_version(registry: LoraRegistry, tmp_path: Path) -> None:
    """Publishing the same weights again gives the version that is there."""
    first = publish(registry, trained(tmp_path / "a"))
    assert publish(registry, trained(tmp_path / "b")) == first
    assert registry.versions(OWNER) == [first]


def test_owners_are_kept_apart(registry: LoraRegistry, tmp_path: Path) -> None:
    """One radiologist's versions are nobody else's."""
    publish(registry, trained(tmp_path / "a"))
    other = owner_of("rad", "DOE^JANE/../x")
    publish(registry, trained(tmp_path / "b", b"other"), other)
    assert registry.owners() == sorted([OWNER, other])
    assert registry.versions(owner_of("rad", "900002")) == []
    assert registry.champion(owner_of("rad", "900002")) is None


@pytest.mark.parametrize("file", [WEIGHTS, PEFT_CONFIG])
def test_changed_files_are_refused(registry: LoraRegistry, tmp_path: Path, file: str) -> None:
    """A published file that was changed, or is gone, fails the check, and such a version can't be promoted."""
    version = publish(registry, trained(tmp_path / "a"))
    verify(version)
    (version.path / file).write_bytes(b'{"r": 8, "target_modules": []}')
    with pytest.raises(LoraRefused):
        verify(version)
    with pytest.raises(LoraRefused):
        registry.promote(version)
    (version.path / file).unlink()
    with pytest.raises(LoraRefused):
        verify(version)


def test_no_weights_no_version(registry: LoraRegistry, tmp_path: Path) -> None:
    """A folder without safetensors is refused and leaves nothing behind."""
    folder = trained(tmp_path / "a")
    (folder / WEIGHTS).unlink()
    with pytest.raises(LoraRefused):
        publish(registry, folder)
    assert registry.owners() == []


def test_a_failed_publication_leaves_nothing(registry: LoraRegistry, tmp_path: Path) -> None:
    """When the PEFT config can't be read, no half-made folder stays."""
    folder = trained(tmp_path / "a")
    (folder / PEFT_CONFIG).write_text("{")
    with pytest.raises(LoraRefused):
        publish(registry, folder)
    assert [p.name for p in (registry.root / OWNER).iterdir()] == [".lock"]


@pytest.mark.parametrize("alias", ["", "v1", "../../rad/900002/v1-0123456789ab", "v1-0123456789ab", "\udcff"])
def test_a_damaged_alias_is_refused(registry: LoraRegistry, tmp_path: Path, alias: str) -> None:
    """An alias that names no version of this owner raises LoraRefused, whatever it holds."""
    version = publish(registry, trained(tmp_path / "a"))
    registry.promote(version)
    (registry.root / OWNER / "champion").write_bytes(alias.encode(errors="surrogateescape"))
    with pytest.raises(LoraRefused):
        registry.champion(OWNER)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"version": 7}', b'{"version": "rad/1@v0-x"}', b"\xff"])
def test_a_damaged_manifest_is_refused(registry: LoraRegistry, tmp_path: Path, manifest: bytes) -> None:
    """A manifest that can't be read raises LoraRefused, never anything else."""
    version = publish(registry, trained(tmp_path / "a"))
    (version.path / MANIFEST).write_bytes(manifest)
    with pytest.raises(LoraRefused):
        read_version(version.path)


def test_readers_see_one_version_or_the_other(registry: LoraRegistry, tmp_path: Path) -> None:
    """While the alias flips, every read is one of the two versions."""
    versions = [publish(registry, trained(tmp_path / name, name.encode())) for name in ("a", "b")]
    registry.promote(versions[0])
    seen: set[LoraVersion | None] = set()
    done = threading.Event()

    def read() -> None:
        reader = LoraRegistry(registry.root)
        while not done.is_set():
            seen.add(reader.champion(OWNER))

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(20):
        registry.promote(versions[turn % 2])
    done.set()
    thread.join()
    assert seen <= set(versions)


def test_many_publish_at_once(registry: LoraRegistry, tmp_path: Path) -> None:
    """Trainers that publish at the same time get one number each."""
    folders = [trained(tmp_path / str(n), str(n).encode()) for n in range(6)]
    threads = [threading.Thread(target=publish, args=(LoraRegistry(registry.root), folder)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v.seq for v in registry.versions(OWNER)] == [1, 2, 3, 4, 5, 6]


def test_personas_are_read_where_they_lie(registry: LoraRegistry, tmp_path: Path) -> None:
    """Packaged LoRAs need no version folder; a missing package has none."""
    version = publish(registry, trained(tmp_path / "a"), "persona/succinct")
    version.path.rename(tmp_path / "succinct")
    found = read_personas(tmp_path)["persona/succinct"]
    assert found.name == version.name
    verify(found)
    assert read_personas(tmp_path / "nothing") == {}
