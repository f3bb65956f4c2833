"""One set of statements: what differs between the databases stands where one looks for it."""

from __future__ import annotations

import ast
from pathlib import Path

import radbridge
import radbridge_adapters
import radbridge_training

MAY = {"sqlite.py", "postgres.py", "upsert.py"}


def test_no_other_file_knows_a_dialect() -> None:
    """No statement outside of the journal's own two files is made for one database."""
    found = []
    for package in (radbridge, radbridge_adapters, radbridge_training):
        for file in Path(str(package.__file__)).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    continue
                if any(name.startswith("sqlalchemy.dialects") for name in names) and file.name not in MAY:
                    found.append(str(file))
    assert found == []
