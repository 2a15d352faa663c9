"""``consilium client inbox`` to ``verify``: what the steward types."""

from collections.abc import Callable
from pathlib import Path

import click

from common import terminal
from common.errors import UsageError
from common.terminal import Terminal

Command = Callable[..., None]


def at_site(command: Command) -> Command:
    """Give a command the site that it is about, as ``path``."""
    file = click.Path(path_type=Path, dir_okay=False)
    return click.option(
        "--site", "path", metavar="SITE.toml", type=file, required=True
    )(command)


@click.command()
@at_site
@terminal.options
def inbox(terminal: Terminal, path: Path) -> None:
    """List the studies this site was asked for, and how each stands."""
    from client.office import steward  # noqa: PLC0415 - pydantic and more load here

    steward.show_inbox(terminal, path)


@click.command()
@click.argument("study")
@at_site
@terminal.options
def review(terminal: Terminal, study: str, path: Path) -> None:
    """Show who asks for STUDY, why, what would leave, and what changed.

    STUDY is a file, or the name or digest of a study in the inbox.
    """
    from client.office import dossier  # noqa: PLC0415

    dossier.show(terminal, path, study)


@click.command()
@click.argument("study")
@at_site
@click.option(
    "--expires", default="90d", show_default=True, help="Days from now, or a date."
)
@click.option(
    "--i-am-approving", "typed", metavar="NAME", help="The name, typed by a script."
)
@terminal.options
def approve(
    terminal: Terminal, study: str, path: Path, expires: str, typed: str | None
) -> None:
    """Approve exactly this version of STUDY, by typing its name."""
    from client.office import steward  # noqa: PLC0415

    steward.approve(terminal, path, study, expires, typed)


@click.command()
@click.argument("study")
@at_site
@click.option("--reason", required=True, help="Why not; for the ledger.")
@terminal.options
def deny(terminal: Terminal, study: str, path: Path, reason: str) -> None:
    """Say no to STUDY; a study that runs stops at its next round."""
    from client.office import steward  # noqa: PLC0415

    steward.decide(terminal, path, study, "denied", reason)


def _decision(name: str, decision: str, text: str) -> click.Command:
    """Return the command *name*, which writes *decision*."""

    def command(terminal: Terminal, study: str, path: Path, reason: str) -> None:
        from client.office import steward  # noqa: PLC0415

        steward.decide(terminal, path, study, decision, reason)

    command.__doc__ = text
    click.option("--reason", default="", help="Why; for the ledger.")(command)
    at_site(command)
    click.argument("study")(command)
    return click.command(name)(terminal.options(command))


pause = _decision("pause", "paused", "Answer no round of STUDY until it is resumed.")
resume = _decision("resume", "resumed", "Take part again in a STUDY that is paused.")
revoke = _decision("revoke", "revoked", "Take the approval of STUDY back, for good.")


@click.command()
@at_site
@click.option("--head", "witnessed", default="", help="A head that must be in it.")
@terminal.options
def verify(terminal: Terminal, path: Path, witnessed: str) -> None:
    """Check the site's ledger line by line, offline, and print it."""
    from client.office import logbook  # noqa: PLC0415

    logbook.verify(terminal, path, witnessed)


@click.command()
@at_site
@click.option("--since", default="", help="A date, or days back such as 30d.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, for a spreadsheet.")
@terminal.options
def releases(terminal: Terminal, path: Path, since: str, *, as_csv: bool) -> None:
    """Say what left this site, when, and for which study."""
    from client.office import logbook  # noqa: PLC0415

    logbook.releases(terminal, path, since, as_csv=as_csv)


@click.group(invoke_without_command=True)
@click.option("--site", "path", metavar="SITE.toml", type=terminal.FILE)
@click.option("--study", default="", help="What would this one cost?")
@terminal.options
def budget(terminal: Terminal, path: Path | None, study: str) -> None:
    """Say what studies have spent of the privacy of this site's people."""
    from client.office import balance  # noqa: PLC0415

    if click.get_current_context().invoked_subcommand:
        return
    if path is None:
        raise UsageError("whose budget?", fix="--site SITE.toml")
    balance.show(terminal, path, study)


@budget.command()
@click.argument("epsilon", type=float)
@at_site
@click.option("--reason", required=True, help="Why; for the ledger.")
@click.option(
    "--i-am-granting", "typed", metavar="SITE", help="The name, typed by a script."
)
@terminal.options
def grant(
    terminal: Terminal, epsilon: float, path: Path, reason: str, typed: str | None
) -> None:
    """Let all studies together spend EPSILON more, by typing the site's name."""
    from client.office import balance  # noqa: PLC0415

    balance.grant(terminal, path, epsilon, reason, typed)


COMMANDS = (
    *(inbox, review, approve, deny, pause, resume, revoke),
    *(verify, releases, budget),
)
