"""`radbridge` as it is tortured: `python -m tests.torture.launch FOLDER NAME MUTANT up --config …`; "" is no mutant.

Its clock can be stepped and its writes held up from outside; without either it is the program that everybody runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.torture import clocks

if __name__ == "__main__":
    folder, name, mutant = Path(sys.argv.pop(1)), sys.argv.pop(1), sys.argv.pop(1)
    clocks.follow(folder / f"{name}.clock")

    # Behind it: from here on modules copy what tells the time.
    from radbridge.cli.app import app
    from tests.torture.holds import obey
    from tests.torture.mutants import MUTANTS

    obey(folder / f"{name}.hold")
    if mutant:
        MUTANTS[mutant].take_out()
    app()
