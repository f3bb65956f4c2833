"""A whole site: `site.toml`, overridden by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from radbridge.config.access import Access
from radbridge.config.audit import Audit
from radbridge.config.delivery import Delivery
from radbridge.config.dicom import Dicom
from radbridge.config.encryption import Encryption
from radbridge.config.fhir import Cdshooks, Fhir, Fhircast
from radbridge.config.guard import Guard
from radbridge.config.hl7v2 import Hl7v2
from radbridge.config.http import Http
from radbridge.config.log import Log
from radbridge.config.memory import Memory
from radbridge.config.model import Model
from radbridge.config.retention import Retention
from radbridge.config.store import Cluster, Flow, Store
from radbridge.config.traces import Traces
from radbridge.config.training import Training


class Site(BaseSettings):
    """A whole site."""

    model_config = SettingsConfigDict(
        env_prefix="RADBRIDGE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    store: Store = Store()
    cluster: Cluster = Cluster()
    flow: Flow = Flow()
    hl7v2: Hl7v2 = Hl7v2()
    dicom: Dicom = Dicom()
    fhir: Fhir = Fhir()
    fhircast: Fhircast = Fhircast()
    cdshooks: Cdshooks = Cdshooks()
    http: Http = Http()
    access: Access = Access()
    model: Model = Model()
    memory: Memory = Memory()
    training: Training = Training()
    guard: Guard = Guard()
    audit: Audit = Audit()
    retention: Retention = Retention()
    encryption: Encryption = Encryption()
    traces: Traces = Traces()
    log: Log = Log()
    wires: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    """Tables for wires that a hospital installed itself."""

    @property
    def registry(self) -> Path | None:
        """The LoRA registry's folder; None where there is none."""
        return self.training.registry or self.model.loras

    @property
    def deliveries(self) -> Mapping[str, Delivery]:
        """How each destination of every wire wants to be delivered to, by its name."""
        rules: dict[str, Delivery] = {one.name: one for one in self.hl7v2.destinations}
        rules |= {one.name: one for one in self.fhir.destinations}
        rules |= {one.name: one for one in self.fhircast.hubs}
        return rules | {one.name: one for one in self.dicom.destinations}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings
