"""What drafts cost: time, processor time, memory, energy. What can't be read is None, and never guessed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from radbridge.errors import ConfigError

_PER = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One run of `radbridge draft`, without the start of its model server."""

    drafts: int
    wall_s: float
    cpu_s: float | None = None
    """Of the embedded model server and all its processes; None beside a remote one."""
    peak_rss_bytes: int | None = None
    """The most that these processes held at once, by samples; pages that two share count twice."""
    joules: float | None = None
    """Of the whole machine's meters in `meters`, whatever else ran on it."""
    meters: tuple[str, ...] = ()
    """What the energy was read from: `rapl`, `nvidia-smi`."""

    def per_thousand(self, amount: float | None) -> float | None:
        """`amount` for 1,000 drafts."""
        return None if amount is None or not self.drafts else amount * _PER / self.drafts


_COST = TypeAdapter(Cost)


def write_cost(file: Path, cost: Cost) -> None:
    """Raises OSError."""
    file.write_bytes(orjson.dumps({"version": 1, **asdict(cost)}, option=orjson.OPT_INDENT_2) + b"\n")


def read_cost(file: Path) -> Cost:
    """What `write_cost` wrote. Raises ConfigError that names the file."""
    try:
        said = orjson.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror}"]) from None
    except orjson.JSONDecodeError:
        raise ConfigError([f"{file} isn't JSON; `radbridge draft --cost` writes what belongs here"]) from None
    if not isinstance(said, dict) or said.pop("version", None) != 1:
        raise ConfigError([f"{file} isn't a cost of version 1; `radbridge draft --cost` writes one"])
    try:
        return _COST.validate_python(said)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError([f"{file}: {fault}" for fault in faults]) from None
