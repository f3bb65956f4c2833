"""The commands of `radbridge train`, run in this process."""

from __future__ import annotations

import logging
import sys
import threading

import structlog
from typer.testing import CliRunner

from radbridge_training.cli.app import app


def run_train(*words: str) -> tuple[int, str]:
    """A command's status, and what it says on one line. The logs that it sets up are ours."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = root.handlers[:], root.level
    try:
        done = CliRunner().invoke(app, words)
    finally:
        root.handlers[:], root.level = before
        sys.excepthook, threading.excepthook = hooks
        structlog.reset_defaults()
    return done.exit_code, " ".join(done.output.split())
