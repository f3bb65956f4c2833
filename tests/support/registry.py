"""LoRA folders for the registry, and processes that publish and promote: `python -m tests.support.registry`."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraRegistry, LoraVersion, owner_of

OWNER = owner_of("rad", "900001")
ROOT = Path(__file__).parents[2]


def trained(folder: Path, content: bytes = b"weights") -> Path:
    """A folder as a trainer leaves it, with what must not be published."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(content)
    (folder / PEFT_CONFIG).write_text(json.dumps({"r": 8, "target_modules": ["q_proj", "v_proj"]}))
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "ref").mkdir()
    return folder


def publish(registry: LoraRegistry, folder: Path, owner: str = OWNER) -> LoraVersion:
    """`folder` as a version of `owner`."""
    return registry.publish(folder, owner, base_digest="b" * 64, prompt_version="p1", recipe="sft")


def publish_new(registry: LoraRegistry, work: Path, content: bytes, owner: str = OWNER) -> LoraVersion:
    """A version with these weights; `work` is a folder to make them in."""
    return publish(registry, trained(work / content.hex(), content), owner)


def publish_rivals(registry: LoraRegistry, work: Path) -> tuple[LoraVersion, LoraVersion]:
    """Champion and challenger of one owner."""
    champion, challenger = (publish_new(registry, work, content) for content in (b"1", b"2"))
    registry.promote(champion)
    registry.challenge(challenger)
    return champion, challenger


def start(what: str, root: Path, owner: str, work: Path) -> subprocess.Popen[bytes]:
    """A process that does one of `WORK` to a registry."""
    command = (sys.executable, "-m", __name__, what, str(root), owner, str(work))
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _flip(registry: LoraRegistry, owner: str, work: Path) -> None:
    """Promote the versions in a circle until killed, or until whoever started it is gone."""
    parent = os.getppid()
    for version in itertools.cycle(registry.versions(owner)):
        registry.promote(version)
        if os.getppid() != parent:
            return


def _publish(registry: LoraRegistry, owner: str, work: Path) -> None:
    """Publish and promote until killed, a hundred versions at most."""
    for n in range(100):
        registry.promote(publish_new(registry, work, f"{work.name} {n}".encode(), owner))
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()


def _publish_few(registry: LoraRegistry, owner: str, work: Path) -> None:
    """Publish eight versions."""
    for n in range(8):
        publish_new(registry, work, f"{work.name} {n}".encode(), owner)


WORK = {"flip": _flip, "publish": _publish, "publish-few": _publish_few}

if __name__ == "__main__":
    _, what, root, owner, work = sys.argv
    WORK[what](LoraRegistry(Path(root)), owner, Path(work))
