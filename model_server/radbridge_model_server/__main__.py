"""`python -m radbridge_model_server --listen 127.0.0.1:8000 --config model.yaml`.

Prints one JSON line with `url` when drafts are answered. Ends on SIGTERM, on SIGINT, and when a pipe on standard input
is closed, which is how the death of a parent process shows.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from radbridge.config import split_address
from radbridge.errors import ConfigError
from radbridge_model_server.local import LocalServer
from radbridge_model_server.settings import load_settings
from radbridge_model_server.supervise import supervise


class _Stopped(BaseException):
    """Told to stop, or the parent has ended."""


def main() -> int:
    """Serve until told to stop; 0 after a clean end, 1 when the start failed, 2 for a wrong configuration."""
    args = _read_arguments()
    try:
        settings = load_settings(args.config)
        server = LocalServer(*_address(args.listen), settings)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    announce_to = os.dup(1)
    os.dup2(2, 1)  # Ray prints warnings to standard output, where the announcement has to be the only line
    try:
        return supervise(lambda: _serve(server, settings.strategy, args.start_timeout, announce_to))
    finally:
        server.clean()


def _serve(server: LocalServer, strategy: str, start_timeout_s: int, announce_to: int) -> int:
    began = time.monotonic()
    try:
        _watch_signals(start_timeout_s)
        server.start()
        _watch_signals(0)
        took_s = round(time.monotonic() - began, 2)
        told = {"url": server.url, "strategy": strategy, "pid": os.getpid(), "start_s": took_s}
        os.write(announce_to, json.dumps(told).encode() + b"\n")
        while True:
            signal.pause()
    except (_Stopped, SystemExit):  # SystemExit: a signal that came while Ray had its own handler in place
        return 0
    except Exception as error:  # noqa: BLE001 - whatever kept it from starting is told, and the exit status says so
        sys.stderr.write(f"the model server didn't start: {error}\n")
        return 1
    finally:
        _ignore_signals()
        server.stop()


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="radbridge_model_server", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--listen", default="127.0.0.1:8000", help="host:port; port 0 takes a free one")
    parser.add_argument("--config", type=Path, help="YAML or JSON file; without one the packaged model is served")
    parser.add_argument("--start-timeout", type=int, default=180, metavar="S", help="seconds to be ready in")
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    try:
        return split_address(text)
    except ValueError as error:
        raise ConfigError([f"--listen: {error}"]) from None


def _watch_signals(start_timeout_s: int) -> None:
    """End on signals, and on the parent's end. Called again after Ray has put its own handlers in place."""

    def end(number: int, _: FrameType | None) -> None:
        if number == signal.SIGALRM:
            raise TimeoutError(f"it wasn't ready within {start_timeout_s} s")
        raise _Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(start_timeout_s)
    mode = os.fstat(0).st_mode
    if start_timeout_s and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):  # uvloop's pipes are sockets
        threading.Thread(target=_wait_for_parent, name="parent", daemon=True).start()


def _wait_for_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _ignore_signals() -> None:
    signal.alarm(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
