"""One study, carried out by a process of its own: ``server start`` starts it.

    python -m server.running.runner DIR STUDY PORT

When it ends by itself it has written down how: finished, failed and why, or stopped. If
it is killed it is started again, and goes on from the study's journal.
"""

import logging
import sys
import traceback
from pathlib import Path

import click

from common import talk
from common.errors import ConsiliumError
from common.masked import coding
from server.conduct import retry, studies
from server.conduct.studies import Phase, Progress, Submitted
from server.gate import allowance
from server.running import executor, superlink
from server.running.superlink import Link

LOG = logging.getLogger("consilium.server")


def carry_out(aggregator: Path, given: Submitted, link: Link) -> None:
    """Run a study to its end, and write down what came of it."""
    settings = {
        "consortium": str(aggregator),
        "submitted": str(given.folder),
        "journal": str(given.journal),
    }
    try:
        allowance.note(given.folder, coding.largest(given.study))
        executor.conduct(given.study, link, settings)
    except ConsiliumError as error:
        _ended(given, error)
    except Exception as fault:  # noqa: BLE001 - started again, it would do it again
        _ended(given, _ours(fault))
    else:
        _finished(given)


def _finished(given: Submitted) -> None:
    """Write down that a study has finished; a word to try it again came too late."""
    if studies.marked(given, "retry"):
        retry.forget(given)
    studies.note(given, Progress("finished", since=studies.now()))
    talk.event(LOG, logging.INFO, "the study has finished", event="finished")


def _ended(given: Submitted, error: ConsiliumError) -> None:
    """Write down that a study has failed, or that its operator stopped it.

    One that is to be tried again is submitted anew.

    One that was stopped has nothing to tell, unless a site did not hear of it.
    """
    if studies.marked(given, "retry"):
        studies.anew(given)
        talk.event(LOG, logging.INFO, "the study begins anew", event="retry")
        return
    phase: Phase = "stopped" if studies.marked(given, "stop") else "failed"
    facts = retry.advised(given, error)
    told = facts if phase == "failed" or error.hints["likely"] else None
    studies.note(given, Progress(phase, since=studies.now(), error=told))
    level = logging.INFO if phase == "stopped" else logging.ERROR
    talk.event(LOG, level, str(error), event=phase, **error.facts())


def _ours(fault: Exception) -> ConsiliumError:
    """Return a fault of ours without its message, which may quote what was sent."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return ConsiliumError(
        f"an internal fault: {type(fault).__name__}",
        where=f"{last.filename}, line {last.lineno}",
        likely="a mistake in Consilium, or a disk that is full",
        fix="report it with that line: it holds no data",
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("study")
@click.argument("port", type=int)
def main(folder: Path, study: str, port: int) -> None:
    """Carry out the submitted STUDY of DIR over the SuperLink at PORT."""
    talk.begin("INFO", as_json=True)
    link = superlink.link(folder, port)
    try:
        carry_out(folder, studies.at(folder, study), link)
    except ConsiliumError as error:  # it could not even be written down
        talk.event(LOG, logging.ERROR, str(error), event="cut off", **error.facts())
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
