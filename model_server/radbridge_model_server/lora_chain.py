"""Whose LoRA drafts: the signer's own, else the persona chosen for them, else the site's, else the base (rule 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from radbridge.errors import LoraRefused
from radbridge.registry import LoraRegistry, LoraVersion, RegistryError, is_owner, owner_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One step of the chain: weights to use, or why there are none."""

    label: str
    lora: LoraVersion | None = None
    missing: str = ""
    """Empty with `lora` None: the base model."""


class LoraChain:
    """Looks up LoRAs at each request, so that a promotion in the registry counts from the next request on."""

    def __init__(
        self,
        *,
        registry: LoraRegistry | None,
        packaged: Mapping[str, LoraVersion],
        personas: Mapping[str, str],
        site_lora: str,
    ) -> None:
        self._registry = registry
        self._packaged = packaged
        self._personas = personas
        self._site_lora = site_lora

    def links(self, radiologist: str) -> Iterator[Link]:
        """From the radiologist's own LoRA down to the base; it never ends without a base."""
        if radiologist:
            yield self._look_up("LoRA for the signer", owner_of("rad", radiologist))
            if radiologist in self._personas:
                yield self._look_up("persona for the signer", self._personas[radiologist])
        else:
            yield Link(label="LoRA for the signer", missing="no signer named")
        if self._site_lora:
            yield self._look_up("site LoRA", self._site_lora)
        yield Link(label="base")

    def find(self, name: str) -> LoraVersion | None:
        """The LoRA that `rad/<id>`, `persona/<name>`, a persona's bare name or a whole version's name means."""
        owner, _, version = name.partition("@")
        kind, slash, id = owner.partition("/")
        try:
            if not is_owner(owner):
                owner = owner_of(kind, id) if slash else owner_of("persona", owner)
        except RegistryError:
            return None
        if not version:
            return self._champion(owner)
        registered = self._registry.versions(owner) if self._registry else []
        packaged = [v for v in self._packaged.values() if v.owner == owner]
        return next((v for v in (*registered, *packaged) if v.folder == version), None)

    def names(self) -> list[str]:
        """Every owner with a LoRA being served."""
        owners = self._registry.owners() if self._registry else []
        return sorted({*self._packaged, *(o for o in owners if self._is_served(o))})

    def _look_up(self, label: str, owner: str) -> Link:
        try:
            lora = self._champion(owner)
        except LoraRefused as refusal:
            return Link(label=label, missing=f"{label} refused: {refusal.reason}")
        return Link(label=label, lora=lora) if lora else Link(label=label, missing=f"no {label}")

    def _champion(self, owner: str) -> LoraVersion | None:
        found = self._registry.champion(owner) if self._registry else None
        return found or self._packaged.get(owner)

    def _is_served(self, owner: str) -> bool:
        try:
            return self._champion(owner) is not None
        except LoraRefused:
            return False
