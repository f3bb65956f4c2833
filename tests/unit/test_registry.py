"""The LoRA registry on disk."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import LoraRefused
from radbridge.registry import (
    ALIASES,
    FIRST,
    MANIFEST,
    NUMBERS,
    PEFT_CONFIG,
    WEIGHTS,
    LoraRegistry,
    LoraVersion,
    Manifest,
    RegistryError,
    digest_weights,
    is_owner,
    owner_of,
    read_manifest,
    read_personas,
    read_version,
    verify,
)
from tests.support.registry import OWNER, publish, trained


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


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
    assert not (registry.root / NUMBERS).exists()


@pytest.mark.parametrize("alias", ["v1", "../../rad/900002/v1-0123456789ab", "v1-0123456789ab", "\udcff"])
def test_a_damaged_alias_is_refused(registry: LoraRegistry, tmp_path: Path, alias: str) -> None:
    """An alias that names no version of this owner raises LoraRefused, whatever it holds."""
    version = publish(registry, trained(tmp_path / "a"))
    registry.promote(version)
    (registry.root / OWNER / ALIASES).write_bytes(json.dumps({"champion": alias}).encode())
    with pytest.raises(LoraRefused):
        registry.champion(OWNER)
    with pytest.raises(LoraRefused):
        registry.aliases(OWNER)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"champion": 7}', b'{"champion": null}'])
def test_damaged_aliases_are_refused_and_repaired_by_a_promotion(
    registry: LoraRegistry, tmp_path: Path, content: bytes
) -> None:
    """An alias file that can't be read is never guessed at; promoting a version writes it anew."""
    version = publish(registry, trained(tmp_path / "a"))
    registry.promote(version)
    (registry.root / OWNER / ALIASES).write_bytes(content)
    with pytest.raises(LoraRefused):
        registry.champion(OWNER)
    with pytest.raises(LoraRefused):
        registry.rollback(OWNER)
    assert registry.promote(version).champion == version


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


def test_a_manifest_holds_what_a_gate_decides_by(registry: LoraRegistry, tmp_path: Path) -> None:
    """Window, metrics, parent, number, rank and time of publication come back as typed values."""
    began = datetime.now(UTC)
    version = registry.publish(
        trained(tmp_path / "a"),
        OWNER,
        base_digest="b" * 64,
        prompt_version="p1",
        parent="persona/succinct@v1-0123456789ab",
        data_from=date(2026, 1, 1),
        data_to=date(2026, 3, 31),
        metrics={"rouge_l": 0.41, "contradictions": 0},
    )
    manifest = read_manifest(version.path)
    assert manifest.created_at is not None
    assert began <= manifest.created_at <= datetime.now(UTC)
    assert manifest == Manifest(
        version=version.name,
        base_digest="b" * 64,
        prompt_version="p1",
        number=version.number,
        rank=8,
        targets=("q_proj", "v_proj"),
        parent="persona/succinct@v1-0123456789ab",
        created_at=manifest.created_at,
        data_from=date(2026, 1, 1),
        data_to=date(2026, 3, 31),
        metrics={"rouge_l": 0.41, "contradictions": 0},
    )


def test_what_is_told_beside_can_not_forge_a_manifest(registry: LoraRegistry, tmp_path: Path) -> None:
    """Extra values go into the manifest, but never in the place of what the registry itself says."""
    forged: dict[str, Any] = {"version": "rad/1@v1-0123456789ab", "number": 7, "name": "x", "rank": 1, "recipe": "sft"}
    version = registry.publish(trained(tmp_path / "a"), OWNER, base_digest="b", prompt_version="p1", **forged)
    manifest = json.loads((version.path / MANIFEST).read_bytes())
    assert (manifest["version"], manifest["name"], manifest["rank"]) == (version.name, OWNER, 8)
    assert manifest["number"] == version.number == FIRST
    assert manifest["recipe"] == "sft"


@pytest.mark.parametrize("metrics", [{"loss": float("nan")}, {"loss": float("inf")}])
def test_a_metric_is_a_number(registry: LoraRegistry, tmp_path: Path, metrics: dict[str, float]) -> None:
    """A metric that is no number is refused: no gate could compare it."""
    with pytest.raises(LoraRefused):
        registry.publish(trained(tmp_path / "a"), OWNER, base_digest="b", prompt_version="p1", metrics=metrics)
    assert registry.owners() == []


def test_a_version_is_found_by_its_whole_name(registry: LoraRegistry, tmp_path: Path) -> None:
    """Only the very name finds a version; anything else, a path included, finds none."""
    version = publish(registry, trained(tmp_path / "a"))
    assert registry.version(version.name) == version
    for name in ("", OWNER, f"{OWNER}@", f"{OWNER}@v1", f"{OWNER}@v2-{version.digest12}", f"rad/../{version.name}"):
        assert registry.version(name) is None


def test_a_large_folder_is_no_lora(registry: LoraRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than any LoRA is neither published nor, when it has grown, loaded."""
    version = publish(registry, trained(tmp_path / "a"))
    for module in ("registry", "version"):
        monkeypatch.setattr(f"radbridge.registry.{module}.LARGEST", 500)
    with pytest.raises(LoraRefused, match="600"):
        publish(registry, trained(tmp_path / "b", b"x" * (600 - (tmp_path / "a" / PEFT_CONFIG).stat().st_size)))
    (version.path / "README.md").write_bytes(b"x" * 500)
    with pytest.raises(LoraRefused, match="larger"):
        verify(version)


def test_links_are_never_followed(registry: LoraRegistry, tmp_path: Path) -> None:
    """Weights that were replaced by a link to the same bytes, or a version that is a link itself, are refused."""
    version = publish(registry, trained(tmp_path / "a"))
    weights = version.path / WEIGHTS
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoraRefused, match="plain file"):
        verify(version)
    with pytest.raises(LoraRefused, match="plain file"):
        registry.promote(version)
    version.path.rename(tmp_path / "moved")
    version.path.symlink_to(tmp_path / "moved")
    with pytest.raises(LoraRefused, match="link"):
        LoraRegistry(registry.root).versions(OWNER)


def test_a_pipe_among_the_files_blocks_nobody(registry: LoraRegistry, tmp_path: Path) -> None:
    """A named pipe in a version is refused at once instead of being waited for."""
    version = publish(registry, trained(tmp_path / "a"))
    os.mkfifo(version.path / "more.safetensors")
    with pytest.raises(LoraRefused, match="plain file"):
        verify(version)


def test_one_damaged_version_stops_nobody_else(registry: LoraRegistry, tmp_path: Path) -> None:
    """With a version whose manifest is gone, owners are listed and the next version is published and promoted."""
    first = publish(registry, trained(tmp_path / "a", b"one"))
    (first.path / MANIFEST).unlink()
    later = LoraRegistry(registry.root)
    assert later.owners() == [OWNER]
    second = publish(later, trained(tmp_path / "b", b"two"))
    assert later.promote(second).champion == second
    assert publish(later, trained(tmp_path / "c", b"one")).seq == 3


def test_a_damaged_bystander_keeps_no_champion_from_drafting(registry: LoraRegistry, tmp_path: Path) -> None:
    """Without the previous version's files the champion is served all the same, and a rollback says what is wrong."""
    first, second = (publish(registry, trained(tmp_path / name, name.encode())) for name in "ab")
    registry.promote(first)
    registry.promote(second)
    for path in (*first.path.iterdir(), first.path):
        path.rmdir() if path.is_dir() else path.unlink()
    later = LoraRegistry(registry.root)
    assert later.aliases(OWNER).champion == second
    assert later.aliases(OWNER).previous is None
    with pytest.raises(LoraRefused):
        later.rollback(OWNER)
    assert later.champion(OWNER) == second


def test_a_registry_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    """Where the registry's folder can't be made, the error names the place."""
    (tmp_path / "file").write_text("")
    registry = LoraRegistry(tmp_path / "file")
    with pytest.raises(RegistryError, match="file"):
        publish(registry, trained(tmp_path / "a"))
    assert registry.owners() == []
    assert registry.champion(OWNER) is None
