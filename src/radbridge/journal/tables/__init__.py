"""The journal's tables, by what they are for; `radbridge.journal.schema` has all of them together."""
