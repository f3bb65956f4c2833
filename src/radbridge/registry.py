"""LoRA versions on disk: immutable folders, and aliases that flip (rule 6).

    <root>/<kind>/<id>/v<seq>-<digest12>/    PEFT safetensors, adapter_config.json, manifest.json
    <root>/<kind>/<id>/champion              a file that holds the name of the folder being served
    <root>/<kind>/<id>/previous              the one before, to go back to

`kind` is `rad`, `site` or `persona`. Ids come from HL7 and are not trusted: `owner_of` encodes them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from radbridge.errors import LoraRefused, RadBridgeError

MANIFEST = "manifest.json"
WEIGHTS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"

_DIGESTED = frozenset({"config.json", PEFT_CONFIG, "tokenizer.json", "tokenizer.model"})
_FOLDER = re.compile(r"v[1-9]\d{0,8}-[0-9a-f]{12}")
_OWNER = re.compile(r"(?P<kind>rad|site|persona)/(?P<id>[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{0,119})")
_NAME = re.compile(r"(?P<owner>(rad|site|persona)/[^/@]+)@v(?P<seq>[1-9]\d{0,8})-(?P<digest12>[0-9a-f]{12})")
_LONGEST_ID = 100


class RegistryError(RadBridgeError):
    """The LoRA registry can't be read or written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraVersion:
    """One immutable set of LoRA weights."""

    owner: str
    """`rad/<id>`, `site/<id>` or `persona/<name>`, as `owner_of` encodes it."""
    seq: int
    digest12: str
    """The first 12 hex digits of `digest_weights`."""
    path: Path = field(repr=False)
    base_digest: str
    """`digest_weights` of the base model it was trained on, and the only one it may be served with."""
    prompt_version: str
    rank: int
    targets: tuple[str, ...]
    parent: str = ""
    """Name of the version it was trained from."""
    number: int = 0
    """The integer that vLLM knows it by: from the registry's counter, never given twice. 0: it has none."""

    @property
    def name(self) -> str:
        """`rad/<id>@v<seq>-<digest12>`: what drafts carry and engines key their caches by."""
        return f"{self.owner}@{self.folder}"

    @property
    def folder(self) -> str:
        """`v<seq>-<digest12>`."""
        return f"v{self.seq}-{self.digest12}"


def owner_of(kind: str, id: str) -> str:
    """`kind/id` with the id made safe as a file name: percent-encoded, never `.` or `..`, at most 117 characters."""
    encoded = quote(id, safe="", errors="surrogatepass")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _LONGEST_ID:
        encoded = f"{encoded[:_LONGEST_ID]}~{hashlib.sha256(encoded.encode()).hexdigest()[:16]}"
    owner = f"{kind}/{encoded}"
    if not is_owner(owner):
        raise RegistryError("a LoRA's owner needs an id, and a kind that is rad, site or persona")
    return owner


def is_owner(name: str) -> bool:
    """Whether `name` is what `owner_of` makes."""
    return _OWNER.fullmatch(name) is not None


def digest_weights(folder: Path) -> str:
    """SHA-256 over name, NUL and content of a folder's safetensors, config and tokenizer files, sorted by name; in hex.

    The same for a base model and for a LoRA. Manifests, model cards and what isn't loaded don't count.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix == ".safetensors" or p.name in _DIGESTED):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def read_version(folder: Path) -> LoraVersion:
    """The version in `folder` by its manifest and PEFT config. Raises LoraRefused when they can't be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        config = json.loads((folder / PEFT_CONFIG).read_bytes())
        targets = config["target_modules"]
        name = _NAME.fullmatch(_text(manifest, "version"))
        if name is None:
            raise ValueError("version")
        return LoraVersion(
            owner=name["owner"],
            seq=int(name["seq"]),
            digest12=name["digest12"],
            path=folder,
            base_digest=_text(manifest, "base_digest"),
            prompt_version=_text(manifest, "prompt_version"),
            rank=int(config["r"]),
            targets=tuple(sorted([targets] if isinstance(targets, str) else targets)),
            parent=str(manifest.get("parent") or ""),
            number=int(manifest.get("number") or 0),
        )
    except OSError as error:
        raise LoraRefused(folder.name, f"{Path(error.filename or folder).name} can't be read") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LoraRefused(folder.name, f"manifest or PEFT config is damaged ({type(error).__name__})") from None


def _text(manifest: dict[str, Any], key: str) -> str:
    value = manifest[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def verify(version: LoraVersion) -> None:
    """Read the files again and raise LoraRefused when they aren't what was published."""
    try:
        found = digest_weights(version.path)
    except OSError:
        raise LoraRefused(version.name, "its files can't be read") from None
    if found[:12] != version.digest12:
        raise LoraRefused(version.name, "its files are not those that were published (digest differs)")


def read_personas(root: Path) -> dict[str, LoraVersion]:
    """Read-only LoRAs in `<root>/<name>/`, such as the packaged ones, by owner (`persona/<name>`)."""
    if not root.is_dir():
        return {}
    versions = (read_version(folder) for folder in sorted(root.iterdir()) if (folder / MANIFEST).is_file())
    return {version.owner: version for version in versions}


class LoraRegistry:
    """The LoRA versions below one folder. Many readers and several publishing processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[Path, LoraVersion] = {}

    def owners(self) -> list[str]:
        """Every owner that has a version."""
        folders = (f for kind in ("persona", "rad", "site") for f in sorted((self.root / kind).glob("*")))
        owners = (f"{f.parent.name}/{f.name}" for f in folders)
        return [o for o in owners if is_owner(o) and self.versions(o)]

    def versions(self, owner: str) -> list[LoraVersion]:
        """The owner's versions, oldest first. Raises LoraRefused for one whose manifest is damaged."""
        folder = self._folder(owner)
        names = [p.name for p in folder.iterdir() if _FOLDER.fullmatch(p.name)] if folder.is_dir() else []
        return sorted((self._version(owner, name) for name in names), key=lambda v: v.seq)

    def champion(self, owner: str) -> LoraVersion | None:
        """The version being served, or None when the owner has none. Raises LoraRefused when the alias is damaged."""
        return self._alias(owner, "champion")

    def previous(self, owner: str) -> LoraVersion | None:
        """The version that was served before the champion."""
        return self._alias(owner, "previous")

    def publish(
        self, folder: Path, owner: str, *, base_digest: str, prompt_version: str, parent: str = "", **meta: Any
    ) -> LoraVersion:
        """Copy `folder`'s weights into a new immutable version; it isn't served until promoted.

        Only what is loaded gets copied (safetensors, config, a README.md), so no optimizer state and no pickle.
        The same weights published twice are one version.
        """
        if not (folder / WEIGHTS).is_file() or not (folder / PEFT_CONFIG).is_file():
            raise LoraRefused(owner, f"{WEIGHTS} or {PEFT_CONFIG} is missing; publish PEFT safetensors")
        home = self._folder(owner)
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home):
            staged = Path(tempfile.mkdtemp(prefix=".publish-", dir=home))
            try:
                for name in (WEIGHTS, PEFT_CONFIG, "README.md"):
                    if (folder / name).is_file():
                        shutil.copyfile(folder / name, staged / name)
                digest12 = digest_weights(staged)[:12]
                versions = self.versions(owner)
                for version in versions:
                    if version.digest12 == digest12:
                        return version
                name = f"v{1 + max((v.seq for v in versions), default=0)}-{digest12}"
                told = {"base_digest": base_digest, "prompt_version": prompt_version, "parent": parent or None}
                write_manifest(staged, meta | told | {"name": owner, "version": f"{owner}@{name}"})
                read_version(staged)
                staged.chmod(0o755)
                _sync_files(staged)
                staged.rename(home / name)
                _sync(home)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
        return self._version(owner, name)

    def promote(self, version: LoraVersion) -> None:
        """Serve this version from now on: one atomic flip. The one served before becomes `previous`."""
        verify(version)
        home = self._folder(version.owner)
        with _locked(home):
            served = self.champion(version.owner)
            if served == version:
                return
            if served is not None:
                _write_alias(home, "previous", served.folder)
            _write_alias(home, "champion", version.folder)

    def _folder(self, owner: str) -> Path:
        if not is_owner(owner):
            raise RegistryError("not an owner's name; make it with owner_of")
        return self.root / owner

    def _version(self, owner: str, name: str) -> LoraVersion:
        path = self.root / owner / name
        if path not in self._read:
            if not _FOLDER.fullmatch(name):
                raise LoraRefused(owner, "an alias that names no version")
            version = read_version(path)
            if version.name != f"{owner}@{name}":
                raise LoraRefused(owner, "a folder whose name isn't its version's")
            self._read[path] = version
        return self._read[path]

    def _alias(self, owner: str, alias: str) -> LoraVersion | None:
        try:
            name = (self._folder(owner) / alias).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise LoraRefused(owner, f"its alias {alias} can't be read") from None
        return self._version(owner, name)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` with sorted keys."""
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_alias(home: Path, alias: str, name: str) -> None:
    handle, staged = tempfile.mkstemp(prefix=f".{alias}-", dir=home)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(name + "\n")
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(staged).replace(home / alias)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(staged).unlink()
        raise
    _sync(home)


def _sync_files(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
