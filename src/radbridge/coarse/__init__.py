"""The coarse, extractive stage of the embedded drafter."""

from radbridge.coarse.drafter import draft_coarse
from radbridge.coarse.statement import CoarseDraft, Kind, Statement

__all__ = ["CoarseDraft", "Kind", "Statement", "draft_coarse"]
