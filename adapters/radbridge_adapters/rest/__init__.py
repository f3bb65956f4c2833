"""Asks other people's FHIR servers: HTTP with limits, and SMART Backend Services where they want a token."""

from radbridge_adapters.rest.backend import BackendTokens, make_client
from radbridge_adapters.rest.client import FhirClient, Reply, Tokens

__all__ = ["BackendTokens", "FhirClient", "Reply", "Tokens", "make_client"]
