"""How much memory each process takes for a large network, as multiples of its weights.

    python -m simulations.benches.message_memory 40  # MB of weights; takes a minute
    python -m simulations.benches.message_memory 200 --kill-one

Four hospitals train a tabular network of that size under masks, each a process of its
own, for a few rounds; one may be killed on the way, and comes back. The most that a
process held is set against the most that it held for a network of a few weights: what
is imported counts in both.
"""

import re
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

from common.study import Study
from simulations.dealt import breast_study, hospitals
from simulations.engines import processes

LOOK = 0.1
"""Seconds between two looks; the peak itself is kept by Linux until a process ends."""
KIB, MEGA, NUMBER = 1024, 1e6, 8
STEPS, SAMPLE, MOST = 3, 0.3, 4096
PROC = Path("/proc")
NAMES = {
    r"server\.running\.runner": "the aggregator's run",
    r"server\.gate\.gateway": "the gateway",
    r"superlink": "Flower's SuperLink",
    r"server.start": "server start",
    r"client.start": "a hospital",
}

Peaks = dict[str, float]


def widths(megabytes: float, columns: int) -> tuple[int, ...]:
    """Return dense layers over *columns* that hold about so many *megabytes*."""
    count = megabytes * MEGA / NUMBER
    wide = int(min(MOST, np.sqrt(count)))
    found, left = [wide], count - wide * columns
    while left > wide:
        found.append(max(1, min(wide, round(left / found[-1]))))
        left -= found[-2] * found[-1]
    return tuple(found)


def size(study: Study) -> float:
    """Return how many MB the weights are that travel."""
    from common.tasks.networks import (  # noqa: PLC0415 - of this line
        network_kind,
        tabular_network,
    )

    return network_kind.size(tabular_network.TABULAR, study) * NUMBER / MEGA


def asked(
    path: Path, dense: tuple[int, ...], optimizer: str = "adam", steps: int = STEPS
) -> Study:
    """Return the study at *path* as one that trains a network of layers *dense*."""
    document = tomllib.loads(path.read_text("utf-8"))
    training = {"steps": steps, "optimizer": optimizer, "sample": SAMPLE}
    model = {"kind": "tabular_network", "dense": list(dense), "training": training}
    kept = {n: document[n] for n in ("format", "study", "variables", "outcome")}
    kept |= {n: document[n] for n in ("cohort",) if n in document}
    rounds = {"quorum": len(document["study"]["sites"]), "deadline_seconds": 1200}
    other = {"privacy": "none", "model": model, "rounds": rounds}
    limits = {"min_people": 10, "min_sites": 3, "min_outside": 0}
    other["evaluation"] = {"test": 0.3}
    return Study.model_validate({**kept, **other, "disclosure": limits})


def peaks(study: Study, sites: list[Path], *, kill_one: bool = False) -> Peaks:
    """Return the most MB that each kind of process held while *study* ran."""
    with watching() as found:
        processes.engine(kill_one=kill_one)(study, sites)
    return found


@contextmanager
def watching() -> Iterator[Peaks]:
    """Look at all processes of Consilium again and again, in a thread of its own."""
    found: Peaks = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            for name, peak in _now():
                found[name] = max(found.get(name, 0.0), peak)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _now() -> Iterator[tuple[str, float]]:
    for folder in PROC.glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            status = (folder / "status").read_text("ascii")
        except (OSError, UnicodeDecodeError):
            continue  # it ended between two looks, or is somebody else's
        said = [name for mark, name in NAMES.items() if re.search(mark, command)]
        high = re.search(r"VmHWM:\s+(\d+)", status)
        if said and high and tempfile.gettempdir() in command:
            yield said[0], int(high[1]) * KIB / MEGA


def table(small: Mapping[str, float], large: Mapping[str, float], mega: float) -> str:
    """Return a line for each process: both peaks, and what the weights cost."""
    return "\n".join(
        f"{name:<24}{large[name]:>8.0f} MB, {small[name]:.0f} MB without; "
        f"{(large[name] - small[name]) / mega:.1f} x the network"
        for name in sorted(large)
    )


@click.command()
@click.argument("megabytes", type=float)
@click.option("--optimizer", default="adam", help="adam, momentum or plain")
@click.option("--rounds", default=STEPS, help="how many of the network")
@click.option("--kill-one", is_flag=True, help="kill a hospital in the third of them")
def main(megabytes: float, optimizer: str, rounds: int, *, kill_one: bool) -> None:
    """Print what a network of so many MEGABYTES costs each process."""
    with tempfile.TemporaryDirectory() as place:
        path = hospitals.write(Path(place))
        sites = [path.parent / name / "site.toml" for name in hospitals.NAMES]
        few, dense = (4,), widths(megabytes, len(breast_study.NAMES))
        small, large = (asked(path, each, optimizer, rounds) for each in (few, dense))
        before = peaks(small, sites)
        after = peaks(large, sites, kill_one=kill_one)
    mega = size(large)
    click.echo(f"{mega:.0f} MB of weights, {optimizer}, {len(sites)} hospitals, masked")
    click.echo(table(before, after, mega))


if __name__ == "__main__":
    main()
