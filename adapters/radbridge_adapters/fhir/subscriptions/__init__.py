"""FHIR Subscriptions: plain R4 rest-hooks, and topics by the Subscriptions R5 Backport IG 1.1."""

from radbridge_adapters.fhir.subscriptions.notify import Subscriptions

__all__ = ["Subscriptions"]
