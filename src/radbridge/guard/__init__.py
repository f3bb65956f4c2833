"""Checks a draft against the findings it was made from. No model, no network."""

from radbridge.guard.check import Guard, check_draft
from radbridge.guard.rewriting import find_fault
from radbridge.guard.support import unsupported_words

__all__ = ["Guard", "check_draft", "find_fault", "unsupported_words"]
