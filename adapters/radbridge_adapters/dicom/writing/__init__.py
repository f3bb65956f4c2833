"""Drafts out, as Structured Reports that nobody has verified."""
