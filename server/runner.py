"""One study, carried out by a process of its own: ``server start`` starts it.

    python -m server.runner DIR STUDY PORT

When it ends by itself it has written down how: finished, failed and why, or stopped. If
it is killed it is started again, and goes on from the study's journal.
"""

import logging
from pathlib import Path

import click

from common.errors import ConsiliumError
from server import executor, studies, superlink
from server.studies import Phase, Progress, Submitted
from server.superlink import Link

LOG = logging.getLogger("consilium.server")
TAKE_UP = "consilium server submit STUDY.toml --dir DIR   goes on from its last round"


def carry_out(aggregator: Path, given: Submitted, link: Link) -> None:
    """Run a study to its end, and write down what came of it."""
    settings = {
        "consortium": str(aggregator),
        "submitted": str(given.folder),
        "journal": str(given.journal),
    }
    try:
        executor.conduct(given.study, link, settings)
    except ConsiliumError as error:
        LOG.error("%s", error)  # noqa: TRY400 - the error says all
        phase: Phase = "stopped" if studies.marked(given, "stop") else "failed"
        facts = {**error.facts(), "then": TAKE_UP}
        studies.note(given, Progress(phase, since=studies.now(), error=facts))
    else:
        studies.note(given, Progress("finished", since=studies.now()))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("study")
@click.argument("port", type=int)
def main(folder: Path, study: str, port: int) -> None:
    """Carry out the submitted STUDY of DIR over the SuperLink at PORT."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("consilium").setLevel("INFO")
    link = superlink.link(folder, port)
    carry_out(folder, studies.at(folder, study), link)


if __name__ == "__main__":
    main()
