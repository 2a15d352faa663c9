"""How the memory of each process grows with a network: one round, in real processes.

Every process holds tens of MB for any network (Flower's SuperLink, for its requests and
caches, 270), so what is measured is the growth from a small network to a large one.
"""

import tempfile
from pathlib import Path

from simulations.benches import message_memory
from simulations.benches.measure import Line, at_most
from simulations.dealt import breast_study, hospitals

SMALL, LARGE = 20.0, 80.0
"""MB of weights."""
GOAL = 2.0
"""MB that a process may hold more for each MB that the network is larger."""


def lines() -> list[Line]:
    """Measure a small network and a large one, and return a line for each process."""
    with tempfile.TemporaryDirectory() as place:
        path = hospitals.write(Path(place))
        sites = [path.parent / name / "site.toml" for name in hospitals.NAMES]
        columns = len(breast_study.NAMES)
        small, large = (
            message_memory.asked(path, message_memory.widths(each, columns), steps=1)
            for each in (SMALL, LARGE)
        )
        before, after = (message_memory.peaks(each, sites) for each in (small, large))
    grown = message_memory.size(large) - message_memory.size(small)
    return [_line(name, before[name], after[name], grown) for name in sorted(after)]


def _line(name: str, before: float, after: float, grown: float) -> Line:
    rate = (after - before) / grown
    what = f"memory by MB of a network, {SMALL:.0f} to {LARGE:.0f}: {name}"
    figure = f"{rate:.2f} ({before:.0f} to {after:.0f} MB)"
    return at_most(what, figure, rate, GOAL)
