"""Which persona writes for a radiologist who has no LoRA yet: `<registry>/personas.json`, `{radiologist: owner}`.

Import and training turns choose; model servers look at each request, so a choice counts from the next one on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import structlog
from pydantic import Field, TypeAdapter, ValidationError

from radbridge.errors import LoraRefused, RegistryError
from radbridge.learning.personas import Features, nearest_persona
from radbridge.registry.files import locked, make_folder, replace_file
from radbridge.registry.owner import is_owner, owner_of
from radbridge.registry.registry import LoraRegistry

log = structlog.get_logger(__name__)

CHOICES = "personas.json"
LEAST_SIGNED = 10
"""Reports that it takes to tell how somebody writes."""

_Owner = Annotated[str, Field(pattern=r"^persona/[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{0,119}$")]
_CHOICES: TypeAdapter[dict[str, _Owner]] = TypeAdapter(dict[str, _Owner])


class PersonaChoices:
    """The choices as they stand; read again when their file has changed."""

    def __init__(self, root: Path) -> None:
        self._file = root / CHOICES
        self._stamp: tuple[int, int, int] | None = None
        self._chosen: dict[str, str] = {}

    def find(self, radiologist: str) -> str | None:
        """The persona's owner; None where none was chosen. A file that can't be read chooses nobody (rule 4)."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._chosen = _read(self._file)
            except RegistryError:
                log.warning("persona choices can't be read", exc_info=True)
                self._chosen = {}
        return self._chosen.get(radiologist)

    def _look(self) -> tuple[int, int, int] | None:
        """What tells a file that was replaced; None where there is none."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def read_choices(root: Path) -> dict[str, str]:
    """Radiologist -> `persona/<name>`. Raises RegistryError for a damaged file."""
    return _read(root / CHOICES)


def write_choices(root: Path, choices: Mapping[str, str]) -> dict[str, str]:
    """Add `choices`, or put them in the place of earlier ones; all that stand then. Raises RegistryError."""
    return _change(root, lambda known: known | dict(choices))


def drop_choice(root: Path, radiologist: str) -> None:
    """Take back what was chosen for somebody. Raises RegistryError."""
    if radiologist in read_choices(root):
        _change(root, lambda known: {id: owner for id, owner in known.items() if id != radiologist})


def _change(root: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    try:
        make_folder(root)
        with locked(root):
            chosen = _CHOICES.validate_python(change(_read(root / CHOICES)))
            replace_file(root / CHOICES, json.dumps(chosen, sort_keys=True).encode() + b"\n")
    except ValidationError:
        raise RegistryError("a persona is named like `persona/succinct`") from None
    except OSError as error:
        raise RegistryError(f"{CHOICES} can't be written: {error.strerror}") from None
    return chosen


def choose(
    root: Path,
    impressions: Mapping[str, Sequence[str]],
    *,
    said: Mapping[str, str] = MappingProxyType({}),
    centres: Mapping[str, Features] | None = None,
) -> dict[str, str]:
    """Choose for radiologists by what they signed, and write it down; what was chosen now, by radiologist.

    `said` is what somebody knows better. Of `centres`, by owner, the nearest is taken; None: of the packaged personas.
    Who has signed too little to tell, or has a champion, is left as they are. Raises RegistryError.
    """
    registry = LoraRegistry(root)
    nearest = {
        radiologist: nearest_persona(texts, centres)
        for radiologist, texts in impressions.items()
        if len(texts) >= LEAST_SIGNED and not _has_champion(registry, radiologist)
    }
    chosen = {
        id: owner for id, owner in (nearest | {id: as_persona(name) for id, name in said.items()}).items() if owner
    }
    if chosen:
        write_choices(root, chosen)
    return chosen


def _has_champion(registry: LoraRegistry, radiologist: str) -> bool:
    try:
        return bool(radiologist) and bool(registry.alias_names(owner_of("rad", radiologist)).champion)
    except LoraRefused:  # its aliases are damaged: nothing of theirs is served
        return False


def as_persona(name: str) -> str:
    """A row says `succinct`, or the owner."""
    return name if is_owner(name) else owner_of("persona", name)


def _read(file: Path) -> dict[str, str]:
    try:
        return _CHOICES.validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValidationError):
        raise RegistryError(f"{file.name} can't be read; remove it, and `radbridge import` chooses anew") from None
