"""Checks a draft against the findings it was made from. No model, no network."""

from radbridge.guard.check import check_draft
from radbridge.guard.support import unsupported_words

__all__ = ["check_draft", "unsupported_words"]
