"""LoRA versions on disk: immutable folders, and aliases that flip (rule 6).

    <root>/numbers.json                      the counter, see `numbers`
    <root>/<kind>/<id>/v<seq>-<digest12>/    PEFT safetensors, adapter_config.json, manifest.json
    <root>/<kind>/<id>/aliases.json          champion, challenger, previous, see `aliases`

`kind` is `rad`, `site` or `persona`. Readers take no lock. Writers lock the owner's folder: the file system has to know
`flock`, as local disks and NFS 4 do.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from radbridge.errors import LoraRefused, RegistryError
from radbridge.registry import numbers
from radbridge.registry.aliases import Aliases, AliasNames, read_names, write_names
from radbridge.registry.files import STAGED, locked, make_folder, sweep, sync, sync_folder
from radbridge.registry.manifest import write_manifest
from radbridge.registry.owner import is_owner
from radbridge.registry.version import (
    LARGEST,
    PEFT_CONFIG,
    WEIGHTS,
    LoraVersion,
    digest_weights,
    read_shape,
    read_version,
    split_folder,
    verify,
)

_PUBLISHED = (WEIGHTS, PEFT_CONFIG, "README.md")


class LoraRegistry:
    """The LoRA versions below one folder. Many readers and several publishing processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[Path, LoraVersion] = {}

    def owners(self) -> list[str]:
        """Every owner that has a version."""
        homes = (home for kind in ("persona", "rad", "site") for home in sorted((self.root / kind).glob("*")))
        owners = (f"{home.parent.name}/{home.name}" for home in homes)
        return [owner for owner in owners if is_owner(owner) and self.folders(owner)]

    def folders(self, owner: str) -> list[str]:
        """The names of the folders of the owner's versions, oldest first; none of them is read."""
        home = self._home(owner)
        found = [(parts, p.name) for p in home.iterdir() if (parts := split_folder(p.name))] if home.is_dir() else []
        return [name for _, name in sorted(found)]

    def versions(self, owner: str) -> list[LoraVersion]:
        """The owner's versions, oldest first. Raises LoraRefused for one whose manifest is damaged."""
        return [self._version(owner, name) for name in self.folders(owner)]

    def version(self, name: str) -> LoraVersion | None:
        """The version of this whole name, or None. Raises LoraRefused when it is damaged."""
        owner, _, folder = name.rpartition("@")
        return self._version(owner, folder) if is_owner(owner) and folder in self.folders(owner) else None

    def aliases(self, owner: str) -> Aliases:
        """The owner's aliases, all of one flip. Raises LoraRefused when their file or the champion is damaged.

        A damaged challenger or previous version is left out: neither may keep the champion from drafting.
        """
        names = read_names(self._home(owner), owner)
        return Aliases(
            champion=self._named(owner, names.champion),
            challenger=self._try(owner, names.challenger),
            previous=self._try(owner, names.previous),
        )

    def alias_names(self, owner: str) -> AliasNames:
        """The folders that the aliases name, damaged or not. Raises LoraRefused when the aliases' file is damaged."""
        return read_names(self._home(owner), owner)

    def champion(self, owner: str) -> LoraVersion | None:
        """The version being served, or None when the owner has none. Raises LoraRefused when it is damaged."""
        return self._named(owner, read_names(self._home(owner), owner).champion)

    def challenger(self, owner: str) -> LoraVersion | None:
        """The version on trial. Raises LoraRefused when it is damaged."""
        return self._named(owner, read_names(self._home(owner), owner).challenger)

    def previous(self, owner: str) -> LoraVersion | None:
        """The version that was served before the champion. Raises LoraRefused when it is damaged."""
        return self._named(owner, read_names(self._home(owner), owner).previous)

    def publish(
        self,
        folder: Path,
        owner: str,
        *,
        base_digest: str,
        prompt_version: str,
        parent: str = "",
        data_from: date | None = None,
        data_to: date | None = None,
        metrics: Mapping[str, float] | None = None,
        **meta: Any,
    ) -> LoraVersion:
        """Copy `folder`'s weights into a new immutable version; it isn't served until promoted.

        Only what is loaded gets copied (safetensors, config, a README.md), so no optimizer state and no pickle.
        The same weights published twice for one base and prompt are one version. `meta` goes into the manifest too.
        Raises LoraRefused for weights that can't be published, RegistryError when the registry can't be written.
        """
        if any(not math.isfinite(value) for value in (metrics or {}).values()):
            raise LoraRefused(owner, "its metrics hold a value that is no number")
        told = {
            "name": owner,
            "base_digest": base_digest,
            "prompt_version": prompt_version,
            "parent": parent or None,
            "data_from": data_from,
            "data_to": data_to,
            "metrics": dict(metrics or {}),
            "created_at": datetime.now(UTC),
        }
        home = self._home(owner)
        with self._writing(home):
            staged = Path(tempfile.mkdtemp(prefix=STAGED, dir=home))
            try:
                return self._stage(folder, staged, owner, meta | told)
            finally:
                shutil.rmtree(staged, ignore_errors=True)

    def promote(self, version: LoraVersion) -> Aliases:
        """Serve this version from the next draft on; the one served before becomes `previous`. Returns what stands."""
        return self._flip(version.owner, lambda names: names.promote(self._checked(version)), repair=True)

    def challenge(self, version: LoraVersion) -> Aliases:
        """Put this version on trial beside the champion; a challenger before it is withdrawn. Returns what stands."""

        def change(names: AliasNames) -> AliasNames:
            if names.champion == version.folder:
                raise RegistryError(f"{version.name} is the champion already; only another version can challenge it")
            return names.challenge(self._checked(version))

        return self._flip(version.owner, change)

    def withdraw_challenger(self, owner: str) -> Aliases:
        """End the trial without a promotion; nothing happens when there is none. Returns what stands."""
        return self._flip(owner, lambda names: names.challenge(""))

    def retire(self, owner: str) -> Aliases:
        """Have no champion: a persona, the site's LoRA or the base drafts, as before the owner had one of their own.

        Nothing happens when there is none. Returns what stands.
        """
        return self._flip(owner, AliasNames.retire)

    def win(self, version: LoraVersion) -> Aliases | None:
        """Promote the challenger. Returns what stands; None where it is on trial no more, and nothing was changed."""

        def change(names: AliasNames) -> AliasNames:
            return names.promote(self._checked(version)) if names.challenger == version.folder else names

        return self._try_flip(version.owner, change)

    def lose(self, version: LoraVersion, *, barred: Collection[str] = ()) -> Aliases | None:
        """Take a version out of service. Returns what stands; None where it drafts no more, and nothing was changed.

        A challenger is withdrawn. In a champion's place comes the previous version, or nobody where that is damaged or
        among those whose names are `barred`.
        """

        def change(names: AliasNames) -> AliasNames:
            if names.challenger == version.folder:
                return names.challenge("")
            if names.champion != version.folder:
                return names
            previous = names.previous
            may_return = f"{version.owner}@{previous}" not in barred and self._is_sound(version.owner, previous)
            return names.promote(previous) if may_return else names.retire()

        return self._try_flip(version.owner, change)

    def rollback(self, owner: str) -> Aliases:
        """Serve the previous version again; the champion becomes `previous`. Returns what stands.

        Raises RegistryError when there is no previous version, LoraRefused when its files are damaged.
        """

        def change(names: AliasNames) -> AliasNames:
            previous = self._named(owner, names.previous)
            if previous is None:
                raise RegistryError(f"{owner} has no previous version to go back to; `promote` one of its versions")
            return names.promote(self._checked(previous))

        return self._flip(owner, change)

    def _stage(self, source: Path, staged: Path, owner: str, told: dict[str, Any]) -> LoraVersion:
        """Fill the staged folder and give it its name, which is the moment that it is published."""
        _copy(source, staged, owner)
        digest12 = digest_weights(staged)[:12]
        rank, targets = read_shape(staged)
        if (there := self._find_same(owner, digest12, told)) is not None:
            return there
        seq, number = numbers.take(self.root, owner)
        name = f"v{seq}-{digest12}"
        shape = {"rank": rank, "targets": list(targets), "number": number}
        write_manifest(staged, told | shape | {"version": f"{owner}@{name}"})
        read_version(staged)
        staged.chmod(0o755)
        sync_folder(staged)
        home = self._home(owner)
        staged.rename(home / name)
        sync(home)
        return self._version(owner, name)

    def _find_same(self, owner: str, digest12: str, told: Mapping[str, Any]) -> LoraVersion | None:
        """A version with these very weights for this base and prompt, whose files are whole."""
        for name in self.folders(owner):
            version = self._try(owner, name) if name.endswith(digest12) else None
            if version is None or any(getattr(version, key) != told[key] for key in ("base_digest", "prompt_version")):
                continue
            try:
                verify(version)
            except LoraRefused:
                continue
            return version
        return None

    def _flip(self, owner: str, change: Callable[[AliasNames], AliasNames], *, repair: bool = False) -> Aliases:
        """Change the aliases, or leave them as they are. Returns what stands."""
        self._try_flip(owner, change, repair=repair)
        return self.aliases(owner)

    def _try_flip(
        self, owner: str, change: Callable[[AliasNames], AliasNames], *, repair: bool = False
    ) -> Aliases | None:
        """The same; None where nothing was to be changed."""
        home = self._home(owner)
        if not self.folders(owner):
            raise RegistryError(f"{owner} has no LoRA in {self.root}; publish one first")
        with self._writing(home):
            try:
                before = read_names(home, owner)
            except LoraRefused:
                if not repair:
                    raise
                before = AliasNames()
            after = change(before)
            if after == before:
                return None
            write_names(home, after)
        return self.aliases(owner)

    @contextmanager
    def _writing(self, home: Path) -> Iterator[None]:
        try:
            make_folder(home)
            with locked(home):
                sweep(home)
                yield
        except OSError as error:
            reason = f"{error.strerror or type(error).__name__} ({error.filename or home})"
            raise RegistryError(f"the LoRA registry can't be written: {reason}; nothing changed") from None

    def _home(self, owner: str) -> Path:
        if not is_owner(owner):
            raise RegistryError("not an owner's name; make it with owner_of")
        return self.root / owner

    def _version(self, owner: str, name: str) -> LoraVersion:
        path = self.root / owner / name
        if path not in self._read:
            if split_folder(name) is None:
                raise LoraRefused(owner, "an alias that names no version")
            if path.is_symlink():
                raise LoraRefused(f"{owner}@{name}", "its folder is a link")
            version = read_version(path)
            if version.name != f"{owner}@{name}":
                raise LoraRefused(owner, "a folder whose name isn't its version's")
            self._read[path] = version
        return self._read[path]

    def _named(self, owner: str, name: str) -> LoraVersion | None:
        return self._version(owner, name) if name else None

    def _try(self, owner: str, name: str) -> LoraVersion | None:
        try:
            return self._named(owner, name)
        except LoraRefused:
            return None

    def _is_sound(self, owner: str, name: str) -> bool:
        """Whether there is such a version and its files are those that were published."""
        try:
            version = self._named(owner, name)
            if version is not None:
                verify(version)
        except LoraRefused:
            return False
        return version is not None

    def _checked(self, version: LoraVersion) -> str:
        """The folder of a version of this registry whose files are those that were published."""
        verify(self._version(version.owner, version.folder))
        return version.folder


def _copy(source: Path, staged: Path, owner: str) -> None:
    if not (source / WEIGHTS).is_file() or not (source / PEFT_CONFIG).is_file():
        raise LoraRefused(owner, f"{WEIGHTS} or {PEFT_CONFIG} is missing; publish PEFT safetensors")
    files = [source / name for name in _PUBLISHED if (source / name).is_file()]
    if (size := sum(file.stat().st_size for file in files)) > LARGEST:
        raise LoraRefused(owner, f"its files have {size} bytes, a LoRA at most {LARGEST}; is it a whole model?")
    for file in files:
        shutil.copyfile(file, staged / file.name)
