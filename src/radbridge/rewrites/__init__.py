"""Statements rewritten one by one: what is asked for each, when an answer holds, and what was signed for each.

Served and trained with the same code: a prompt that is learned is a prompt that is put (rule 7).
"""

from radbridge.rewrites.alignment import align, split_signed
from radbridge.rewrites.assembly import Attempt, Rewrite, assemble
from radbridge.rewrites.plan import Plan, plan_rewrites, show

__all__ = ["Attempt", "Plan", "Rewrite", "align", "assemble", "plan_rewrites", "show", "split_signed"]
