"""The contract's test kit: what a receiver of drafts has to do, checked at the receiver."""

from radbridge_adapters.conformance.command import conformance

__all__ = ["conformance"]
