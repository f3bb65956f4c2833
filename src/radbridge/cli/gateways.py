"""`radbridge gateways`: who shares the journal, and who has which share of the work."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.table import Table

from radbridge.cli.common import ConfigOption, add_row, clock, out, reading, site_of, told
from radbridge.journal import leases
from radbridge.wire import Kind


def gateways(
    config: ConfigOption = None,
    names: Annotated[bool, typer.Option("--names", help="Name every lease but those of buckets.")] = False,
) -> None:
    """List the gateways of this journal, when each was last seen, and what it holds.

    One that was not seen for longer than `cluster.lease_s` is dead: the others have its work.

    Example: [cyan]radbridge gateways --config site.toml[/]
    """
    with told():
        site = site_of(config)
        with reading(site) as conn:
            found = leases.members(conn)
    table = Table("name", "state", "version", "http", "since (UTC)", "last seen", "buckets", "connections", "workers")
    for member in found:
        held = Counter(name.partition(":")[0] for name in member.holds)
        is_alone = not site.store.is_shared
        add_row(
            table,
            member.name,
            "alive" if member.age_s <= site.cluster.lease_s * (2 if is_alone else 1) else "dead",
            member.version,
            member.address,
            clock(member.started_at),
            f"{member.age_s:.0f} s ago",
            *(("all", "all", "all") if is_alone else (str(held[kind]) for kind in Kind)),
        )
    out.print(table if table.row_count else "no gateway was seen within a day")
    for member in found if names else ():
        listed = [name for name in member.holds if not name.startswith(f"{Kind.CASES}:")]
        out.print(f"{member.name}: {', '.join(listed) or 'nothing'}", highlight=False)
