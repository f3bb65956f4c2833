"""Which LoRA writes, and which are in memory."""
