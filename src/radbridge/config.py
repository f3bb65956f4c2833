"""The site's configuration: `site.toml`, overridden by `RADBRIDGE_SECTION__KEY`; checked whole, before any start."""

from __future__ import annotations

import codecs
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from radbridge.draft import FlagKind, Severity
from radbridge.errors import ConfigError

_ADDRESS = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):(?P<port>\d{1,5})$")


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port. Raises ValueError naming the form."""
    match = _ADDRESS.match(address)
    if not match or int(match["port"]) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:2575")
    return match["host"].strip("[]"), int(match["port"])


def _checked_address(address: str) -> str:
    split_address(address)
    return address


def _checked_timezone(name: str) -> str:
    if name != "UTC" and name not in available_timezones():
        raise ValueError("must be UTC or a name of the time zone database, such as Europe/Zurich")
    return name


def _checked_charset(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("must be a Python codec, such as utf-8 or iso8859-1") from None
    return name


Address = Annotated[str, AfterValidator(_checked_address)]
Charset = Annotated[str, AfterValidator(_checked_charset)]
FieldName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2}-[1-9]\d?$")]
"""A field of a segment, such as `OBR-18`."""
Timezone = Annotated[str, AfterValidator(_checked_timezone)]
ReportStatus = Literal["unsigned", "signed", "corrected", "withdrawn"]


class Section(BaseModel):
    """A table of the file; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Store(Section):
    """Where the journal is."""

    url: str = Field(default="sqlite:///var/radbridge.db", pattern=r"^sqlite:///.+")


class Hl7Destination(Section):
    """A peer that gets the drafts as ORU^R01."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    address: Address
    application: str = "DICTATION"
    """MSH-5."""
    facility: str = ""
    """MSH-6."""
    status: Literal["R", "P"] = "R"
    """OBR-25 and OBX-11 of a draft: `R` not yet verified (HL7 0123 / 0085); `P` where a RIS knows only that."""
    ack_timeout_s: float = Field(default=10.0, gt=0, le=300)
    max_attempts: int = Field(default=20, ge=1)
    """Sends before the delivery is dead and an operator has to look."""


class Hl7v2(Section):
    """The HL7 v2 wire."""

    listen: Address = "127.0.0.1:2575"
    application: str = "RADBRIDGE"
    """MSH-3 of what is sent."""
    facility: str = ""
    destinations: tuple[Hl7Destination, ...] = ()
    max_message_bytes: int = Field(default=10 * 2**20, ge=1024, le=2**30)
    max_connections: int = Field(default=256, ge=1)
    idle_timeout_s: float = Field(default=600.0, gt=0)
    """A connection that sends nothing for so long is closed."""
    default_charset: Charset = "utf-8"
    """For an empty MSH-18; bytes that don't fit are read as Latin-1 and the message is noted."""
    accession_from: tuple[FieldName, ...] = ("OBR-18", "OBR-3", "ORC-3", "IPC-1", "TXA-15")
    """Where the accession is, first that is valued."""
    issuer: str = ""
    """The issuer of accession numbers where a message doesn't name one."""
    issuers: dict[str, str] = {}
    """What messages call an issuer (EI-2) -> the site's one name for it."""
    timezone: Timezone = "UTC"
    """Of times that name no offset, such as `Europe/Zurich`."""
    report_status: dict[str, ReportStatus] = {}
    """This RIS's habits, over HL7's: `OBR-25.P`, `OBX-11.A` or `TXA-17.DO` -> what it means here."""
    default_signer: str = ""
    """The signer where a message names none."""


class Http(Section):
    """The HTTP port: health, metrics, and later FHIR, FHIRcast and the console."""

    listen: Address = "127.0.0.1:8080"


class Model(Section):
    """The model server."""

    url: str = Field(default="embedded", pattern=r"^(embedded|https?://\S+)$")
    deadline_s: float = Field(default=8.0, gt=0, le=600)
    settle_s: float = Field(default=0.25, ge=0, le=30)
    """How long the text must rest before it is drafted: a burst of saves makes one draft."""
    concurrency: int = Field(default=32, ge=1)
    """Drafts asked for at once."""
    strategy: Literal["coarse-to-fine", "coarse"] = "coarse-to-fine"
    """Embedded server only: `coarse` never loads the model."""
    loras: Path | None = None
    """Embedded server only: the LoRA registry's folder."""
    site_lora: str = "persona/succinct"
    """Embedded server only: whose LoRA drafts for a radiologist who has none."""
    personas: dict[str, str] = {}
    """Embedded server only: radiologist id -> `persona/elaborate`, until there is a LoRA of their own."""
    start_timeout_s: float = Field(default=180.0, gt=0)


class Action(StrEnum):
    """What is done about a flag."""

    BLOCK = "block"
    """The draft is kept and shown to operators, and goes to no destination."""
    FLAG = "flag"
    """The flag travels with the draft."""
    IGNORE = "ignore"
    """The flag is dropped; only the metrics know of it."""


def _by_severity(said: object) -> object:
    """One word stands for every severity."""
    if not isinstance(said, str):
        return said
    if said not in set(Action):
        raise ValueError("must be block, flag or ignore, or a table of them by severity: critical, warning, info")
    return dict.fromkeys(Severity, said)


Actions = Annotated[dict[Severity, Action], BeforeValidator(_by_severity)]


class Guard(Section):
    """What the site does about the flags of a draft."""

    policy: dict[FlagKind, Actions] = {}
    """Only what differs from the defaults, which are in `radbridge.guard.policy`."""
    lexicon: tuple[Path, ...] = ()
    """The site's own words: files in the form of `radbridge/entities/lexicon/*.toml`."""


class Log(Section):
    """Logs go to standard error, one JSON document a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


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
    hl7v2: Hl7v2 = Hl7v2()
    http: Http = Http()
    model: Model = Model()
    guard: Guard = Guard()
    log: Log = Log()
    wires: dict[str, dict[str, Any]] = {}
    """Tables for wires that a hospital installed itself."""

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


def load_site(path: Path | None) -> Site:
    """The site described by `path` (None: the defaults). Raises ConfigError with every problem at once."""
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError([f"{path}: no such file; see the README's example"]) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: {error}"]) from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([f"{path}: not TOML: {error}"]) from None
    try:
        site = Site(**table)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise ConfigError([f"{where}{_place(e['loc'])}: {e['msg']}" for e in error.errors()]) from None
    _check_names(site, path)
    return site


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if part != "[key]":  # pydantic's mark of a dictionary's key: the key itself stands before it
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _check_names(site: Site, path: Path | None) -> None:
    names = [d.name for d in site.hl7v2.destinations]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        where = f"{path}: " if path else ""
        raise ConfigError([f"{where}hl7v2.destinations: the name {n!r} is used twice" for n in twice])
