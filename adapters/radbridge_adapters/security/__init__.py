"""SMART Backend Services: who asks our web wires and what they may, and who we are when we ask."""

from radbridge_adapters.security.endpoint import TokenApp, capability_security, smart_configuration
from radbridge_adapters.security.guard import Client, Guard

__all__ = ["Client", "Guard", "TokenApp", "capability_security", "smart_configuration"]
