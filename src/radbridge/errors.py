"""Every error RadBridge raises, as one tree.

    RadBridgeError
    ├── ConfigError              the site's file is wrong: nothing was started
    │   ├── NotThere             what was named isn't there
    │   ├── RowFault             a line of a file of rows can't be taken
    │   └── StoreRefused         the database isn't set up so that a commit is durable and sorted as everywhere
    ├── MessageFault             a peer sent what can't be taken in; it is told so, and the bytes are kept
    ├── JournalError             the journal can't commit: no positive ACK may leave
    │   └── SealError            a sealed document can't be opened: its key isn't there
    │       ├── SealBroken       nor ever will be: its bytes were changed, or its key was removed
    │       └── KeyUnfit         the site's key was asked, and it isn't the one that the journal's was wrapped under
    ├── LeaseLost                another gateway has this work now
    ├── AuditBroken              the audit trail isn't as it was written
    ├── BackupFault              a backup can't be made, read or restored
    ├── AccessDenied             somebody asked for what their roles don't permit
    ├── LoginRefused             nobody was let in
    ├── SandboxBreach            a replay tried to reach the outside
    ├── RegistryError            the LoRA registry can't be read or written
    ├── ModelError
    │   ├── ModelUnavailable     the model server can't be reached or isn't ready
    │   │   └── ModelOverloaded  its queue is full: try again after a moment
    │   ├── DeadlinePassed       the draft would have come too late
    │   ├── Superseded           a newer text of the case is drafted instead
    │   ├── PromptTooLong        more text than the model's context holds
    │   └── LoraRefused          weights that must not be loaded
    ├── TrainingFault            a training step can't go on: its radiologist is left out, the others go on
    │   └── NothingToLearn       the reports give nothing to train on
    └── DeliveryError
        ├── DeliveryFailed       try again
        ├── DeliveryRefused      the peer said no for good
        └── DeliveryMoot         nobody is there who would want it

A class's docstring is its default message. Errors carry data, never report text and never an identifier of a patient,
so that any of them may be logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class RadBridgeError(Exception):
    """Something in RadBridge failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigError(RadBridgeError):
    """The configuration can't be used; nothing was started."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NotThere(ConfigError):
    """There is no account, key, destination or journal of that name."""


class RowFault(ConfigError):
    """A line of a file of rows can't be taken in.

    `problem` names the key and what is wrong with it, never what stands there.
    """

    def __init__(self, file: Path, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        super().__init__([f"{file}, line {line}: {problem}"])


class StoreRefused(ConfigError):
    """The database can't hold the journal; the message says which setting of its to change."""


class MessageFault(RadBridgeError):
    """A peer sent a message that can't be taken in.

    `reason` is a short fixed word (`no_msh`, `no_accession`, …) for metrics and the journal; `where` names the place in
    the standard's own terms (`OBR-18`), and never holds the value found there.
    """

    def __init__(self, reason: str, message: str, *, where: str = "") -> None:
        self.reason = reason
        self.where = where
        super().__init__(message)


class JournalError(RadBridgeError):
    """The journal can't commit; no positive acknowledgement may leave. Check the disk and the database."""


class JournalLost(JournalError):
    """The journal's database doesn't answer; what was asked of it may be asked again."""


class SealError(JournalError):
    """A sealed document can't be opened: its key isn't there. See [encryption]."""


class SealBroken(SealError):
    """A sealed document can't be opened, and others can: its bytes were changed, or its key was removed."""


class KeyUnfit(SealError):
    """The site's key is there, and a key of the journal isn't wrapped under it. No key service that is away says so."""


class AuditBroken(RadBridgeError):
    """The audit trail isn't as it was written.

    `seq` is the first event that doesn't fit, `kind` says in fixed words how.
    """

    def __init__(self, seq: int, kind: str) -> None:
        self.seq = seq
        self.kind = kind
        super().__init__(f"the audit trail is broken at event {seq}: {kind}; see docs/how-to/keep-the-audit.md")


class BackupFault(RadBridgeError):
    """A backup can't be made, read or restored."""


class LeaseLost(RadBridgeError):
    """Another gateway has this work now; nothing of it was committed here."""


class AccessDenied(RadBridgeError):
    """Somebody asked for what none of their roles permits."""

    def __init__(self, permission: str) -> None:
        self.permission = permission
        super().__init__(
            f"this needs the permission {permission}; an administrator gives roles by `radbridge users roles`"
        )


class LoginRefused(RadBridgeError):
    """A login failed. `reason` is a fixed word for the audit trail; whoever tried hears none of it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"login refused: {reason}")


class SandboxBreach(RadBridgeError):
    """A replay tried to reach something outside its folder; it was stopped."""


class RegistryError(RadBridgeError):
    """The LoRA registry can't be read or written."""


class ModelError(RadBridgeError):
    """The model server gave no draft."""


class ModelUnavailable(ModelError):
    """The model server can't be reached or isn't ready; see `radbridge check`."""


class ModelOverloaded(ModelUnavailable):
    """The model server's queue is full."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the model server's queue is full; try again in {retry_after_s:g} s")


class DeadlinePassed(ModelError):
    """The model server gave no draft before the deadline."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        super().__init__(f"no draft within {deadline_s:g} s")


class Superseded(ModelError):
    """A newer request for the same case took the place of this one."""


class PromptTooLong(ModelError):
    """A prompt doesn't fit the model's context."""

    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens = tokens
        self.limit = limit
        super().__init__(f"the prompt has {tokens} tokens, the model takes {limit}")


class LoraRefused(ModelError):
    """A LoRA must not be loaded."""

    def __init__(self, version: str, reason: str) -> None:
        self.version = version
        self.reason = reason
        super().__init__(f"LoRA {version} refused: {reason}")


class TrainingFault(RadBridgeError):
    """A training step can't be done with what it was given.

    `reason` is a short fixed text for the status, the page and the journal (`all impressions are alike`); it may hold
    counts and never words of a report.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NothingToLearn(TrainingFault):
    """The reports give nothing to train on: their radiologist is skipped, and nothing broke."""


class DeliveryError(RadBridgeError):
    """A delivery didn't reach its destination."""

    def __init__(self, destination: str, message: str) -> None:
        self.destination = destination
        super().__init__(message)


class DeliveryFailed(DeliveryError):
    """A delivery failed and will be tried again."""

    def __init__(
        self,
        destination: str,
        message: str,
        *,
        sent: bool = True,
        answered: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        self.sent = sent
        """False when nobody was reached: then it doesn't count as an attempt."""
        self.answered = sent and answered
        """False when the peer may have taken it and said nothing."""
        self.retry_after_s = retry_after_s
        """When the peer wants to be asked again; None where it didn't say."""
        super().__init__(destination, message)


class DeliveryRefused(DeliveryError):
    """The destination refused a delivery for good; an operator has to look."""


class DeliveryMoot(DeliveryError):
    """Nobody wants a delivery now, and nobody has seen it: it counts as cancelled, never as delivered."""
