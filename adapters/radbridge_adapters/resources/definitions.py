"""Our own StructureDefinitions, the operation and the topic: files under `profiles/`, published as they are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from radbridge_adapters.resources.json import read_json


@cache
def definitions() -> Mapping[str, Mapping[str, Any]]:
    """`StructureDefinition/flag` -> its document."""
    folder = files(__package__) / "profiles"
    found = [read_json(file.read_bytes()) for file in folder.iterdir() if file.name.endswith(".json")]
    return {f"{one['resourceType']}/{one['id']}": one for one in sorted(found, key=lambda one: str(one["id"]))}
