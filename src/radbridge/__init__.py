"""RadBridge's core: the field's words, the rules that never bend, and the durable journal."""

__version__ = "0.1.0"
