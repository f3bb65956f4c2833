"""What a site serves, as far as training has to do the same: base, strategy, prompt.

The model server's own settings stand in another room, so this reads what both rooms read: the settings file, and what a
base's manifest says of how it is served.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from radbridge.config import Site
from radbridge.embedded import tell_settings
from radbridge.errors import ConfigError
from radbridge.learning import Ways
from radbridge.prompt import readable_versions
from radbridge.registry import MANIFEST, LoraVersion, digest_weights, read_personas

_WAYS: TypeAdapter[Ways] = TypeAdapter(Ways)
_WAY_KEYS = {"strategy": "strategy", "coarse_by": "coarse_by", "prompt_template": "template", "leave_out": "leave_out"}
_PACKAGED_SITE_LORA = "persona/succinct"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """The model server that is trained for."""

    base: Path
    digest: str
    """`digest_weights` of the base: what a LoRA is bound to."""
    ways: Ways
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The model server's settings file, as a table."""
    site_lora: str = ""
    """Whose LoRA drafts for a radiologist who has none; empty: the base."""
    packaged: Mapping[str, LoraVersion] = field(default_factory=dict)
    """The read-only LoRAs beside the registry's, by owner."""


def read_serving(site: Site) -> Serving:
    """What the site serves, by `[training] server` or by `[model]`. Raises ConfigError."""
    path = site.training.server
    return serve_base(read_settings(path) if path else tell_settings(site.model, site.guard.lexicon))


def serve_base(settings: Mapping[str, Any]) -> Serving:
    """What a model server with these settings serves. Raises ConfigError for a base that isn't whole."""
    base = Path(str(settings["base"])) if settings.get("base") else find_packaged_base()
    manifest = _read_manifest(base)
    serving = manifest.get("serving")
    made = serving if isinstance(serving, dict) else {}
    said = {**made, **settings}
    told = {to: said[key] for key, to in _WAY_KEYS.items() if key in said}
    try:
        ways = _WAYS.validate_python(told)
    except ValidationError as error:
        raise ConfigError([f"{base / MANIFEST}: {e['loc'][0]}: {e['msg']}" for e in error.errors()]) from None
    version = manifest.get("prompt_version")
    if version not in readable_versions(ways.template):
        version = ways.template.prompt_version
    ways = replace(ways, version=version)
    is_packaged = not settings.get("base")
    loras = settings.get("persona_loras") or (base.parent / "loras" if is_packaged else None)
    return Serving(
        base=base,
        digest=digest_base(base, manifest),
        ways=ways,
        settings=settings,
        site_lora=str(said.get("site_lora", _PACKAGED_SITE_LORA if is_packaged else "")),
        packaged=read_personas(Path(str(loras))) if loras else {},
    )


def read_settings(path: Path) -> Mapping[str, Any]:
    """A model server's settings file. Raises ConfigError."""
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"training.server: {path} can't be read ({type(error).__name__})"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"training.server: {path}: not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(table, dict):
        raise ConfigError([f"training.server: {path} must be a table of keys and values"])
    return table


def find_packaged_base() -> Path:
    """The base that comes with the model server. Raises ConfigError where that isn't installed."""
    spec = importlib.util.find_spec("radbridge_model_server")  # found, not imported: rooms share data alone
    if spec is None or spec.origin is None:
        raise ConfigError(["model.base: there is no packaged base here; install radbridge[serve], or name a base"])
    return Path(spec.origin).parent / "embedded" / "base"


def digest_base(base: Path, manifest: Mapping[str, Any]) -> str:
    """The digest of a base whose files are all there. Raises ConfigError where they aren't, or aren't those it says."""
    missing = [] if (base / "config.json").is_file() else ["config.json"]
    missing += [] if any((base / name).is_file() for name in _TOKENIZERS) else ["tokenizer.json"]
    missing += [] if any(base.glob("*.safetensors")) else ["weights (safetensors)"]
    if missing:
        raise ConfigError([f"model.base: no whole model in {base}: {' and '.join(missing)} missing"])
    digest = digest_weights(base)
    if (said := manifest.get("digest", digest)) != digest:
        raise ConfigError(
            [f"model.base: the files in {base} aren't those its manifest names ({said[:12]}, not {digest[:12]})"]
        )
    return digest


def _read_manifest(base: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((base / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
