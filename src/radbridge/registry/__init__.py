"""The LoRA registry on disk: immutable versions, aliases that flip, numbers that never come back."""

from radbridge.errors import RegistryError
from radbridge.registry.aliases import ALIASES, Aliases, AliasNames
from radbridge.registry.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from radbridge.registry.numbers import FIRST, NUMBERS
from radbridge.registry.owner import is_owner, owner_of
from radbridge.registry.personas import PersonaChoices, as_persona, choose, read_choices, write_choices
from radbridge.registry.registry import LoraRegistry
from radbridge.registry.version import (
    LARGEST,
    PEFT_CONFIG,
    WEIGHTS,
    LoraVersion,
    digest_weights,
    measure,
    read_personas,
    read_version,
    verify,
)

__all__ = [
    "ALIASES",
    "FIRST",
    "LARGEST",
    "MANIFEST",
    "NUMBERS",
    "PEFT_CONFIG",
    "WEIGHTS",
    "AliasNames",
    "Aliases",
    "LoraRegistry",
    "LoraVersion",
    "Manifest",
    "PersonaChoices",
    "RegistryError",
    "as_persona",
    "choose",
    "digest_weights",
    "is_owner",
    "measure",
    "owner_of",
    "read_choices",
    "read_manifest",
    "read_personas",
    "read_version",
    "verify",
    "write_choices",
    "write_manifest",
]
