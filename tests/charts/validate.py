"""Whether Kubernetes knows every field of objects: `validate.py VERSION`, with the objects as JSON on standard input.

Runs in the environment of requirements.txt. What is wrong is told on standard error, with status 1.
"""

from __future__ import annotations

import json
import sys

import kubernetes_validate


def main(version: str) -> None:
    """Hold each object against the schema of its kind; a field that it doesn't have is an error, too."""
    for each in json.load(sys.stdin):
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(map(str, error.path))
            raise SystemExit(f"{each['kind']} {each['metadata']['name']}: {place}: {error.message}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
