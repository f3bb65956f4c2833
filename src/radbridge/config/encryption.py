"""`[encryption]`: the key that the journal's documents are encrypted under."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from radbridge.config.values import Section


class Encryption(Section):
    """Where the key is. With neither key set, documents are stored as they are."""

    key_file: Path | None = None
    """32 bytes as base64, open to its owner, for reading to its group, and to nobody else."""
    key_command: tuple[str, ...] = ()
    """A program that wraps and unwraps the journal's keys, such as a key service's client: it gets `wrap` or `unwrap`
    as last argument and base64 on standard input, and answers with base64."""

    @model_validator(mode="after")
    def _one(self) -> Encryption:
        if self.key_file is not None and self.key_command:
            raise ValueError("key_file and key_command exclude each other")
        return self

    @property
    def is_on(self) -> bool:
        """Whether new documents are encrypted."""
        return self.key_file is not None or bool(self.key_command)
