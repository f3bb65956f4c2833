"""Shared by test files: a RIS's messages, the gateway as a process, a peer that nobody here wrote."""
