"""`[log]`."""

from __future__ import annotations

from typing import Literal

from radbridge.config.values import Section


class Log(Section):
    """Logs go to standard error, one JSON document a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
