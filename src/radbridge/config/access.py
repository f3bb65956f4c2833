"""`[access]`: who may look and operate, beside the systems of `[[fhir.clients]]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from radbridge.access import Role
from radbridge.config.tls import Pin, Trust
from radbridge.config.values import Section, Url


class Oidc(Trust):
    """People log in at the hospital's OpenID provider."""

    issuer: Url
    """Where its discovery document is: `<issuer>/.well-known/openid-configuration`."""
    client_id: str = Field(min_length=1)
    client_secret_file: Path | None = None
    """Holds our secret there; None: a public client, guarded by PKCE alone."""
    redirect_url: Url
    """Ours, as registered there: `https://radbridge.example/auth/callback`."""
    scopes: tuple[str, ...] = ("openid", "profile")
    roles_claim: str = "roles"
    """The claim of the ID token that says what somebody is."""
    roles: dict[str, tuple[Role, ...]] = Field(min_length=1)
    """A value of that claim -> the roles here; whoever has none of them isn't let in."""


class AccessCertificate(Section):
    """A system that is known by the key of its certificate."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    """What the audit trail calls it."""
    pin: Pin
    roles: tuple[Role, ...] = Field(min_length=1)


class Access(Section):
    """Accounts, keys and sessions."""

    required: bool = False
    """Ask on this machine too; from other machines, somebody has to log in anyhow."""
    idle_s: float = Field(default=900.0, gt=0, le=86400)
    """A session that does nothing for so long is over."""
    session_s: float = Field(default=43200.0, gt=0, le=604800)
    """The longest that a session lasts."""
    oidc: Oidc | None = None
    certificates: tuple[AccessCertificate, ...] = ()
