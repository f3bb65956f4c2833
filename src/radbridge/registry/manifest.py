"""The manifest: what a version's folder says about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from radbridge.errors import LoraRefused

MANIFEST = "manifest.json"

VERSION_NAME = r"^(rad|site|persona)/[^/@]+@v[1-9]\d{0,8}-[0-9a-f]{12}$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The keys of `manifest.json` that have a meaning here; whoever publishes may write more."""

    version: Annotated[str, Field(pattern=VERSION_NAME)]
    base_digest: str
    prompt_version: str
    number: Annotated[int, Field(ge=0)] = 0
    rank: Annotated[int, Field(ge=0)] = 0
    targets: tuple[str, ...] = ()
    parent: str | None = None
    created_at: AwareDatetime | None = None
    data_from: date | None = None
    """Day of the first signed report that it learned from."""
    data_to: date | None = None
    """Day of the last one: what is measured on must be later."""
    metrics: Mapping[str, float] = field(default_factory=dict)


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`. Raises LoraRefused when it can't be read."""
    try:
        return _MANIFEST.validate_json((folder / MANIFEST).read_bytes(), strict=True)
    except OSError:
        raise LoraRefused(folder.name, f"{MANIFEST} can't be read") from None
    except ValidationError as error:
        keys = ", ".join(sorted({str(e["loc"][0]) for e in error.errors() if e["loc"]})) or "not a JSON object"
        raise LoraRefused(folder.name, f"{MANIFEST} is damaged ({keys})") from None


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `manifest.json` with sorted keys; dates and times in ISO 8601."""
    text = json.dumps(dict(manifest), indent=2, sort_keys=True, default=_iso)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _iso(value: object) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    raise TypeError(f"a manifest can't hold a {type(value).__name__}")
