"""`[store]`, `[cluster]`, `[flow]`: where the journal is, who shares it, and in which turn its work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, model_validator

from radbridge.config.values import Section


def _without_password(url: str) -> str:
    """The URL is shown by `radbridge check` and in errors. Raises ValueError that doesn't quote it."""
    parts = urlsplit(url)
    if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError("must hold no password: set store.password_file, or PGPASSFILE in the environment")
    return url


StoreUrl = Annotated[
    str, Field(pattern=r"^(sqlite:///.+|postgresql\+psycopg://\S+)$"), AfterValidator(_without_password)
]


class Store(Section):
    """Where the journal is."""

    url: StoreUrl = "sqlite:///var/radbridge.db"
    """`sqlite:///…`, or `postgresql+psycopg://user@host/database`, which several gateways may share."""
    password_file: Path | None = None
    """PostgreSQL only: holds the password; None: PGPASSFILE, or the server asks for none."""
    pool: int = Field(default=8, ge=1, le=256)
    """PostgreSQL only: connections that read at once."""
    statement_timeout_s: float = Field(default=30.0, gt=0, le=3600)
    """PostgreSQL only: a statement that takes longer is given up."""

    @model_validator(mode="after")
    def _password_of_a_server(self) -> Store:
        if self.password_file is not None and not self.is_shared:
            raise ValueError("password_file goes with a postgresql+psycopg:// url")
        return self

    @property
    def folder(self) -> Path | None:
        """Where SQLite's files are; None: on the server's machine."""
        return None if self.is_shared else self.files[0].parent

    @property
    def files(self) -> tuple[Path, ...]:
        """SQLite's: the journal, and what it keeps beside it while it is open. None on the server's machine."""
        name = self.url.removeprefix("sqlite:///")
        return () if self.is_shared else (Path(name), Path(f"{name}-wal"), Path(f"{name}-shm"))

    @property
    def is_shared(self) -> bool:
        """Whether several gateways may have the journal open."""
        return self.url.startswith("postgresql")


class Cluster(Section):
    """Several gateways on one PostgreSQL. On SQLite there is one, and nothing here matters."""

    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]{0,64}$")
    """What this gateway is called in `radbridge gateways`; empty: the machine's name."""
    lease_s: float = Field(default=10.0, ge=0.5, le=600)
    """How long a gateway that went silent keeps its work."""
    poll_s: float = Field(default=1.0, gt=0, le=60)
    """How often work is looked for where no bell was heard."""


class Flow(Section):
    """Turns, and messages that can't be applied."""

    urgent_ahead_s: float = Field(default=30.0, ge=0, le=3600)
    """Urgent work goes before routine work that has waited up to so much longer, and before no other."""
    poison_tries: int = Field(default=3, ge=1, le=20)
    """Tries of a message that fails for no reason that its wire knows; then it is set aside."""
    poison_hold_s: float = Field(default=30.0, gt=0, le=3600)
    """How long such a message keeps its case's later ones waiting at most."""
