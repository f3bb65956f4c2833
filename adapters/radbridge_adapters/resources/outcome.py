"""What is wrong with a document: issues with the place of each, and the OperationOutcome that tells them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from radbridge.errors import MessageFault

UNPROCESSABLE = frozenset({"business-rule", "code-invalid", "invariant", "processing"})
"""Issue types of a document that is well-formed and breaks a rule: answered 422, every other one 400."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """One problem. Neither field ever quotes a value: `expression` names a place, `diagnostics` is our own sentence."""

    code: str
    """IssueType: `structure`, `required`, `value`, `code-invalid` …"""
    expression: str = ""
    """FHIRPath of the element (`Bundle.entry[0].resource.code`); empty when no element is at fault."""
    diagnostics: str
    severity: str = "error"


class Issues(MessageFault):
    """A document can't be taken in; all its problems at once, and the HTTP status that tells so."""

    def __init__(self, issues: Iterable[Issue], *, status: int | None = None, retry_after_s: int = 1) -> None:
        self.issues = tuple(issues)
        self.retry_after_s = retry_after_s
        """When to come again, where the status says that this makes sense."""
        self.status = status or _status_of(self.issues)
        first = self.issues[0]
        super().__init__(first.code.replace("-", "_"), first.diagnostics, where=first.expression)


def refuse(
    code: str, diagnostics: str, *, expression: str = "", status: int | None = None, retry_after_s: int = 1
) -> Issues:
    """One problem as an error to raise."""
    issue = Issue(code=code, expression=expression, diagnostics=diagnostics)
    return Issues([issue], status=status, retry_after_s=retry_after_s)


def outcome_of(issues: Sequence[Issue]) -> dict[str, Any]:
    """The OperationOutcome of these issues."""
    return {"resourceType": "OperationOutcome", "issue": [_write(issue) for issue in issues]}


def _status_of(issues: Sequence[Issue]) -> int:
    return 422 if all(issue.code in UNPROCESSABLE for issue in issues) else 400


def _write(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.expression:
        written["expression"] = [issue.expression]
    return written
