"""Style memory: a signer's own signed reports, those most like a case first."""

from radbridge.memory.memory import MEMORY_VERSION, StyleMemory
from radbridge.memory.remembered import (
    Change,
    Remembered,
    holds_text,
    is_lost,
    name_of,
    number_of,
    remember,
    weigh_memory,
)

__all__ = [
    "MEMORY_VERSION",
    "Change",
    "Remembered",
    "StyleMemory",
    "holds_text",
    "is_lost",
    "name_of",
    "number_of",
    "remember",
    "weigh_memory",
]
