"""How much memory a step of the original network takes, above what its imports take.

    python -m simulations.benches.step_memory clipped  # MiB, of a process of its own

The most that a process ever held does not fall again: so each way has its own.
"""

import subprocess
import sys
from pathlib import Path

import click
import numpy as np

from common.tasks.networks import book_keeping, keras_layers
from simulations.benches import network_steps

CLIP, STEPS, KIB = 1.0, 3, 1024
STATUS = Path("/proc/self/status")
WAYS = ("clipped", "plain")


def measured(way: str) -> float:
    """Return the peak of one *way*, in MiB, by another process."""
    command = [sys.executable, "-m", "simulations.benches.step_memory", way]
    told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this module itself
    return float(told.stdout.split()[-1])


@click.command()
@click.argument("way", type=click.Choice(WAYS))
def main(way: str) -> None:
    """Print how far some steps in this WAY raise the peak, in MiB."""
    before, case = _peak(), network_steps.ORIGINAL_CASE
    pictures, outcome = network_steps.people(case)
    model = keras_layers.build(case.network, case.image)
    clipped = book_keeping.Clipped(model, case.records)
    plain = network_steps.plain(model, pictures, outcome, case.records)
    for _ in range(STEPS):
        if way == "clipped":
            clipped.add(pictures, outcome, np.full(case.records, CLIP))
        else:
            plain()
    click.echo(f"{_peak() - before:.0f}")


def _peak() -> float:
    """Return the most memory that this process had so far, in MiB, as Linux says it.

    What ``getrusage`` says begins with the peak of the process that started this one.
    """
    status = STATUS.read_text("ascii").splitlines()
    (line,) = [each for each in status if each.startswith("VmHWM:")]
    return int(line.split()[1]) / KIB


if __name__ == "__main__":
    main()
