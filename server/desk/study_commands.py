"""``consilium server start``, and what its operator does with a study."""

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common import terminal
from common.errors import StudyError
from common.terminal import FOLDER, Terminal
from server.desk.prompts import DIR

if TYPE_CHECKING:  # help answers without loading these
    from common.study import Study
    from server.conduct.studies import Mark
    from server.members.consortium import Consortium

STUDY = click.argument("word", metavar="STUDY")
LOOK_SECONDS = 1.0


@click.command()
@DIR
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where sites connect; by default the invites' port, on every address, or on "
    "loopback when they name that.",
)
@terminal.options
def start(terminal: Terminal, folder: Path, listen: str | None) -> None:
    """Run the aggregator in DIR until stopped (SIGTERM or Ctrl-C).

    Its log goes to stderr for people and, as one JSON object a line, to
    DIR/logs/aggregator.log; with --json it goes to stdout like that too.
    """
    from common import talk  # noqa: PLC0415
    from server.desk import prompts, views  # noqa: PLC0415
    from server.members import addresses  # noqa: PLC0415
    from server.running import service  # noqa: PLC0415

    opened = service.prepare(folder)
    where = listen or addresses.listening(opened.about.url)
    service.address(where)
    level = "WARNING" if terminal.quiet else "INFO"
    talk.begin(level, as_json=terminal.json, file=folder / "logs" / "aggregator.log")
    views.warn(terminal, opened, prompts.now())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service.serve(opened, where, stop)


@click.command()
@STUDY
@DIR
@terminal.options
def submit(terminal: Terminal, word: str, folder: Path) -> None:
    """Give STUDY to the aggregator; it begins when every site has approved it.

    STUDY is a file, STUDY.toml. One that was stopped or has failed goes on from its
    last round; it may be named like elsewhere, by its name or its digest.
    """
    from common import study as studies  # noqa: PLC0415
    from server.conduct import studies as given  # noqa: PLC0415
    from server.desk import standing  # noqa: PLC0415
    from server.members import consortium  # noqa: PLC0415

    opened, path = consortium.load(folder), Path(word)
    is_file = path.suffix == ".toml" or path.exists()
    study = studies.read(path) if is_file else given.find(folder, word).study
    _known(opened, study)
    terminal.result(*standing.submitted(folder, given.submit(folder, study)))


@click.command()
@DIR
@click.option("--watch", is_flag=True, help="Show it again each second, until Ctrl-C.")
@terminal.options
def status(terminal: Terminal, folder: Path, *, watch: bool) -> None:
    """Show what runs, which sites are connected, and how far each study is."""
    from server.desk import standing  # noqa: PLC0415
    from server.members import consortium  # noqa: PLC0415

    opened = consortium.load(folder)
    while True:
        facts, text = standing.everything(opened)
        if watch and terminal.color:
            click.clear()
        terminal.result(facts, text)
        if not watch:
            return
        time.sleep(LOOK_SECONDS)


@click.command()
@STUDY
@DIR
@terminal.options
def begin(terminal: Terminal, word: str, folder: Path) -> None:
    """Begin STUDY with the sites that have opened it, if they are a quorum."""
    _mark(terminal, folder, word, "begin")


@click.command()
@STUDY
@DIR
@terminal.options
def stop(terminal: Terminal, word: str, folder: Path) -> None:
    """End STUDY: the sites that are connected are told, and forget it."""
    _mark(terminal, folder, word, "stop")


@click.command()
@STUDY
@DIR
@click.option(
    "--without",
    metavar="SITE",
    multiple=True,
    required=True,
    help="A site that the new run leaves out; may be given several times.",
)
@terminal.options
def retry(
    terminal: Terminal, word: str, folder: Path, without: tuple[str, ...]
) -> None:
    """Begin STUDY anew among fewer sites, when one of them is gone.

    It is a run of its own: nothing of the last one is used again, and noise is drawn
    and charged anew. Fewer than the study's quorum are refused.
    """
    from server.conduct import retry as retrying  # noqa: PLC0415
    from server.conduct import studies  # noqa: PLC0415
    from server.desk import standing  # noqa: PLC0415
    from server.members import consortium  # noqa: PLC0415

    consortium.load(folder)
    given = studies.find(folder, word)
    retrying.retry(given, without)
    told = f"begin anew without {', '.join(sorted(without))}"
    terminal.result(*standing.marked(folder, given, told))


@click.command()
@STUDY
@DIR
@click.option(
    "--out",
    type=FOLDER,
    default="consilium-report",
    show_default=True,
    help="Where the report and the model are written.",
)
@terminal.options
def report(terminal: Terminal, word: str, folder: Path, out: Path) -> None:
    """Write the report of STUDY, which has finished, from its journal."""
    from common.learned import model_file  # noqa: PLC0415
    from server.conduct import studies  # noqa: PLC0415
    from server.members import consortium  # noqa: PLC0415
    from server.reports import report as reports  # noqa: PLC0415
    from server.reports import results, screen  # noqa: PLC0415

    opened = consortium.load(folder)
    given = studies.find(folder, word)
    outcome, took = studies.outcome(given), studies.took(given)
    made = results.report(given.study, outcome, took)
    page = reports.write(made, out)
    lines = [*screen.lines(made), "", f"report    {page}"]
    every, key = results.learned(given.study, outcome, made), opened.signing_key
    lines += [f"model     {model_file.write(each, out, key)}" for each in every]
    text = "\n".join(lines)
    terminal.result(made.model_dump(mode="json"), text)


def _mark(terminal: Terminal, folder: Path, word: str, mark: "Mark") -> None:
    from server.conduct import studies  # noqa: PLC0415
    from server.desk import standing  # noqa: PLC0415
    from server.members import consortium  # noqa: PLC0415

    consortium.load(folder)
    given = studies.find(folder, word)
    studies.mark(given, mark)
    terminal.result(*standing.marked(folder, given, mark))


def _known(opened: "Consortium", study: "Study") -> None:
    """Raise StudyError unless every site that the study names is an active member."""
    from common.written import slips  # noqa: PLC0415

    roster, then = opened.roster(), f"consilium server sites --dir {opened.folder}"
    active = [each.site for each in roster.members if each.state == "active"]
    for site in sorted(set(study.study.sites) - set(active)):
        if roster.member(site):
            raise StudyError(
                f"{site} was revoked and is no site of this consortium any more",
                fix=f"take it out of sites in [study], or admit it anew:   "
                f"consilium server invite {site} --dir {opened.folder}",
                then=then,
            )
        near = slips.suggest(site, active) or ", ".join(active) or "nobody"
        raise StudyError(
            f"{site} is no site of this consortium",
            likely="the study spells it differently, or it was not admitted yet",
            fix=f"in [study], sites:   did you mean {near}?",
            then=then,
        )


COMMANDS = (start, submit, status, begin, retry, stop, report)
