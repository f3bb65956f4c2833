"""rsyslog with GnuTLS, from Debian: an audit repository that nobody here wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.gateway import free_port

_CONFIGURATION = """
global(
  workDirectory="{folder}"
  maxMessageSize="64k"
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{own}"
  defaultNetstreamDriverKeyFile="{own}"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="told" type="string" string="%pri% %msgid% %structured-data% %msg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{out}" template="told")
"""


class Rsyslog:
    """A server that writes what it gets to `out`, a line each."""

    def __init__(self, folder: Path, *, ca: Path, own: Path) -> None:
        """`own` holds its certificate and key; callers must show one of `ca`."""
        self.port = free_port()
        self.out = folder / "out"
        self._pid = folder / "rsyslogd.pid"
        self._conf = folder / "rsyslog.conf"
        values = {"folder": folder, "ca": ca, "own": own, "port": self.port, "out": self.out}
        self._conf.write_text(_CONFIGURATION.format(**values))
        self._program = _find()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens a moment later."""
        command = [self._program, "-n", "-f", str(self._conf), "-i", str(self._pid)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End it; what it had taken it has written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=120)
            self._process = None

    @property
    def lines(self) -> list[str]:
        """What it has written so far."""
        if not self.out.exists():
            return []
        return self.out.read_text(encoding="utf-8", errors="replace").splitlines()  # the last one may be cut as yet


def _find() -> str:
    """The program; where it is absent, the test is skipped, or failed with `CI` set."""
    program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if program is not None and list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        return program
    missing = "no rsyslog: apt-get install rsyslog rsyslog-gnutls"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
