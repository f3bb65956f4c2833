"""One immutable version of a LoRA, read from its folder and checked against its name."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from radbridge.errors import LoraRefused
from radbridge.registry.manifest import MANIFEST, read_manifest

WEIGHTS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
LARGEST = 4 * 2**30
"""Bytes of a version's folder: twice what rank 64 on every layer of a 70 B model needs in bfloat16."""

_DIGESTED = frozenset({"config.json", PEFT_CONFIG, "tokenizer.json", "tokenizer.model"})
_FOLDER = re.compile(r"v(?P<seq>[1-9]\d{0,8})-(?P<digest12>[0-9a-f]{12})")


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


def split_folder(name: str) -> tuple[int, str] | None:
    """`v<seq>-<digest12>` as sequence and digest; None when it is no version's folder."""
    match = _FOLDER.fullmatch(name)
    return (int(match["seq"]), match["digest12"]) if match else None


def digest_weights(folder: Path, on_read: Callable[[int], object] | None = None) -> str:
    """SHA-256 over name, NUL and content of a folder's safetensors, config and tokenizer files, sorted by name; in hex.

    The same for a base model and for a LoRA. Manifests, model cards and what isn't loaded don't count.
    `on_read` is told the bytes of each block.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix == ".safetensors" or p.name in _DIGESTED):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
                if on_read:
                    on_read(len(block))
    return digest.hexdigest()


def read_version(folder: Path) -> LoraVersion:
    """The version in `folder` by its manifest and PEFT config. Raises LoraRefused when they can't be read."""
    manifest = read_manifest(folder)
    owner, _, name = manifest.version.rpartition("@")
    rank, targets = read_shape(folder)
    seq, digest12 = split_folder(name) or (0, "")
    return LoraVersion(
        owner=owner,
        seq=seq,
        digest12=digest12,
        path=folder,
        base_digest=manifest.base_digest,
        prompt_version=manifest.prompt_version,
        rank=rank,
        targets=targets,
        parent=manifest.parent or "",
        number=manifest.number,
    )


def read_shape(folder: Path) -> tuple[int, tuple[str, ...]]:
    """Rank and sorted targets from the PEFT config, which is what gets loaded. Raises LoraRefused."""
    try:
        config = json.loads((folder / PEFT_CONFIG).read_bytes())
        targets = config["target_modules"]
        return int(config["r"]), tuple(sorted([targets] if isinstance(targets, str) else targets))
    except OSError:
        raise LoraRefused(folder.name, f"{PEFT_CONFIG} can't be read") from None
    except (ValueError, TypeError, KeyError) as error:
        raise LoraRefused(folder.name, f"{PEFT_CONFIG} is damaged ({type(error).__name__})") from None


def measure(folder: Path) -> int:
    """Bytes of the files in a version's folder. Raises LoraRefused for anything in it that is no plain file."""
    size = 0
    for path in folder.iterdir():
        entry = path.lstat()
        if not stat.S_ISREG(entry.st_mode):
            raise LoraRefused(folder.name, f"{path.name} is no plain file; links and folders are never followed")
        size += entry.st_size
    return size


def verify(version: LoraVersion) -> None:
    """Read the files again and raise LoraRefused when they aren't what was published."""
    try:
        if measure(version.path) > LARGEST:
            raise LoraRefused(version.name, f"its files are larger than {LARGEST} bytes")
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
