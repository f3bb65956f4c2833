"""Whose LoRA drafts: the signer's own, else the persona chosen for them, else the site's, else the base (rule 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from radbridge.errors import LoraRefused, RegistryError
from radbridge.registry import LoraRegistry, LoraVersion, PersonaChoices, is_owner, owner_of
from radbridge_model_server.loras.shares import is_drawn

_OWN, _PERSONA = "LoRA for the signer", "persona for the signer"
_SIGNERS = frozenset({_OWN, _PERSONA})


class Role(StrEnum):
    """Why a version is served."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    PACKAGED = "packaged"
    NONE = "none"
    """No alias names it any more: it leaves memory after a while."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One step of the chain: weights to use, or why there are none."""

    label: str
    lora: LoraVersion | None = None
    missing: str = ""
    """Empty with `lora` None: the base model."""
    is_signers: bool = False
    """Whether it is the radiologist's own, or the persona chosen for them."""


class LoraChain:
    """Looks up LoRAs at each request, so that a promotion in the registry counts from the next request on.

    An owner's challenger writes `canary_share` of the drafts in its champion's place; refused or not yet in memory, it
    leaves them to the champion.
    """

    def __init__(
        self,
        *,
        registry: LoraRegistry | None,
        packaged: Mapping[str, LoraVersion],
        personas: Mapping[str, str],
        site_lora: str,
        canary_share: float = 0.0,
    ) -> None:
        self._registry = registry
        self._packaged = packaged
        self._personas = personas
        self._choices = PersonaChoices(registry.root) if registry else None
        self._site_lora = site_lora
        self._canary_share = canary_share

    def links(self, radiologist: str, request_id: str = "") -> Iterator[Link]:
        """From the radiologist's own LoRA down to the base; it never ends without a base."""
        is_canary = bool(request_id) and is_drawn(request_id, share=self._canary_share, purpose="canary")
        if not radiologist:
            yield Link(label=_OWN, missing="no signer named", is_signers=True)
        for label, owner in self._owners(radiologist):
            if is_canary:
                yield from self._look_up_challenger(label, owner)
            yield self._look_up(label, owner)
        yield Link(label="base")

    def link(self, label: str, owner: str) -> Link:
        """An owner's champion by itself, or why there is none; without an owner the base."""
        return self._look_up(label, owner) if owner else Link(label="base")

    def find_challenger(self, radiologist: str) -> LoraVersion | None:
        """The challenger nearest to the radiologist in the chain; None where nobody in it has a sound one."""
        challengers = (self.challenger(owner) for _, owner in self._owners(radiologist))
        return next((c for c in challengers if c), None)

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
        name = f"{owner}@{version}"
        found = self._registry.version(name) if self._registry else None
        return found or next((v for v in self._packaged.values() if v.name == name), None)

    def names(self) -> list[str]:
        """Every owner with a LoRA being served."""
        owners = self._registry.owners() if self._registry else []
        return sorted({*self._packaged, *(o for o in owners if self.champion(o))})

    def champion(self, owner: str) -> LoraVersion | None:
        """What is served for an owner; None also where it is damaged."""
        try:
            return self._champion(owner)
        except LoraRefused:
            return None

    def challenger(self, owner: str) -> LoraVersion | None:
        """What is tried beside the champion; None also where it is damaged."""
        try:
            return self._registry.challenger(owner) if self._registry else None
        except LoraRefused:
            return None

    def role(self, version: LoraVersion) -> Role:
        """What the version is to its owner at this moment."""
        named = (
            (Role.PACKAGED, self._packaged.get),
            (Role.CHAMPION, self.champion),
            (Role.CHALLENGER, self.challenger),
        )
        return next((role for role, look_up in named if look_up(version.owner) == version), Role.NONE)

    def _owners(self, radiologist: str) -> Iterator[tuple[str, str]]:
        if radiologist:
            yield _OWN, owner_of("rad", radiologist)
            if persona := self._find_persona(radiologist):
                yield _PERSONA, persona
        if self._site_lora:
            yield "site LoRA", self._site_lora

    def _find_persona(self, radiologist: str) -> str | None:
        """What the settings say, else what was chosen by how they write."""
        said = self._personas.get(radiologist)
        return said or (self._choices.find(radiologist) if self._choices else None)

    def _look_up(self, label: str, owner: str) -> Link:
        try:
            lora = self._champion(owner)
        except LoraRefused as refusal:
            return Link(label=label, missing=f"{label} refused: {refusal.reason}", is_signers=label in _SIGNERS)
        return Link(label=label, lora=lora, missing="" if lora else f"no {label}", is_signers=label in _SIGNERS)

    def _look_up_challenger(self, label: str, owner: str) -> Iterator[Link]:
        is_signers, label = label in _SIGNERS, f"{label} (challenger)"
        try:
            lora = self._registry.challenger(owner) if self._registry else None
        except LoraRefused as refusal:
            yield Link(label=label, missing=f"{label} refused: {refusal.reason}", is_signers=is_signers)
            return
        if lora:
            yield Link(label=label, lora=lora, is_signers=is_signers)

    def _champion(self, owner: str) -> LoraVersion | None:
        found = self._registry.champion(owner) if self._registry else None
        return found or self._packaged.get(owner)
