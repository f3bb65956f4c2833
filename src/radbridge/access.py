"""Who may do what: roles, what each permits, and who acts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_NAME: Final = 255
OURS: Final = frozenset(("anonymous", "gateway", "radbridge", "unknown"))
"""What the audit trail says where nobody asked, or nobody knows who did: no account and no key may be called so."""
_VOUCHERS: Final = {"api_key": "key", "certificate": "certificate", "smart": "client", "issuer": "issuer"}
"""What vouches for who isn't an account -> the word before their name in the audit trail."""
_NAME = re.compile(rf"[A-Za-z0-9_.@-]{{1,{MAX_NAME}}}")
_OTHERS = re.compile(r"[^A-Za-z0-9_.@-]+")


def check_name(name: str) -> str:
    """The name of an account or a key, if it can be one. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name has 1 to {MAX_NAME} letters, digits and _ . @ - alone")
    if name.casefold() in OURS:
        raise ValueError(f"the audit trail calls something else {name}; take another name")
    return name


def as_name(text: str) -> str:
    """What somebody is called elsewhere, as a name: what a name can't have becomes `-`. Empty where nothing is left."""
    return _OTHERS.sub("-", text).strip("-")[:MAX_NAME]


class Permission(StrEnum):
    """Something that not everybody may do."""

    SEE_HEALTH = "see_health"
    """Gateways, destinations, counts: no patient."""
    SEE_CASES = "see_cases"
    """Cases, reports, drafts."""
    OPERATE = "operate"
    """Pause destinations, try dead letters again, replay."""
    ADMINISTER = "administer"
    """Accounts, keys, roles."""
    TRAIN = "train"
    """Training turns, LoRAs, examples."""
    SEE_AUDIT = "see_audit"


class Role(StrEnum):
    """What an account is."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    TRAINER = "trainer"


_SEES = frozenset((Permission.SEE_HEALTH, Permission.SEE_CASES))
ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _SEES,
    Role.OPERATOR: _SEES | {Permission.OPERATE},
    Role.ADMIN: _SEES | {Permission.OPERATE, Permission.ADMINISTER, Permission.SEE_AUDIT},
    Role.TRAINER: frozenset((Permission.SEE_HEALTH, Permission.TRAIN)),
}
"""Role -> what it permits. Somebody with two roles may do what either permits."""


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """All that these roles permit."""
    return frozenset().union(*(ROLES[role] for role in roles))


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who does something: a person, a system, or RadBridge itself."""

    name: str
    kind: str
    """`person`, `system`, `radbridge`."""
    roles: frozenset[Role] = frozenset()
    via: str = ""
    """How it is known: `password`, `oidc`, `api_key`, `certificate`, `smart`, `issuer`, `console`."""

    @property
    def known_as(self) -> str:
        """What the audit trail calls it: an account by its name, all else as `key:alice`, which no account can be."""
        voucher = _VOUCHERS.get(self.via)
        return f"{voucher}:{self.name}" if voucher else self.name

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles permits it."""
        return permission in permissions_of(self.roles)
