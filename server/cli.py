"""``consilium server``: what the operator of the aggregator runs."""

from pathlib import Path

import click

from common import terminal
from common.terminal import FILE, FOLDER, OUT, Terminal
from server.desk import prompts, study_commands
from server.desk.prompts import DIR, Opening


@click.group()
def server() -> None:
    """Look after the aggregator, and who takes part."""


@server.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--name", required=True, help="The consortium, such as heart-net.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    metavar="HOST[:PORT]",
    help="Where sites connect; the first is what invites say. Repeatable.",
)
@prompts.PASSPHRASE_FILE
@terminal.options
def init(
    terminal: Terminal,
    folder: Path,
    name: str,
    hosts: tuple[str, ...],
    passphrase_file: Path | None,
) -> None:
    """Make a consortium in DIR: its authority, and this aggregator's keys."""
    from server.desk import views  # noqa: PLC0415 - only now needed
    from server.members import addresses, enrolment  # noqa: PLC0415 - only now needed

    about = addresses.about(name, hosts)
    passphrase = prompts.new_passphrase(passphrase_file)
    made = enrolment.found(folder, about, passphrase, prompts.now())
    terminal.result(*views.founded(made))


@server.command()
@click.argument("site")
@DIR
@OUT
@click.option(
    "--days", type=click.IntRange(1, 90), default=7, show_default=True, help="Its life."
)
@terminal.options
def invite(terminal: Terminal, site: str, folder: Path, out: Path, days: int) -> None:
    """Write SITE.invite, with which one hospital can ask once for admission."""
    from common.trust import private_files  # noqa: PLC0415
    from server.desk import views  # noqa: PLC0415
    from server.members import addresses, consortium, enrolment  # noqa: PLC0415

    opened = consortium.load(folder)
    views.warn(terminal, opened, prompts.now())
    addresses.require_name("a site", site)
    sealed = enrolment.invite(opened, site, days, prompts.now())
    path = out / f"{site}.invite"
    private_files.write(path, sealed)
    terminal.result(*views.invited(path, site, days))


@server.command()
@click.argument("request", metavar="REQUEST", type=FILE)
@click.option("--words", help="The twelve words you were told, instead of a question.")
@terminal.options
@prompts.opening
def admit(
    terminal: Terminal, authority: Opening, request: Path, words: str | None
) -> None:
    """Admit who made REQUEST, after comparing its words; the answer lies beside it."""
    from common.trust import private_files  # noqa: PLC0415
    from server.desk import views  # noqa: PLC0415
    from server.members import consortium, enrolment, requests  # noqa: PLC0415

    opened, now = consortium.load(authority.folder), prompts.now()
    views.warn(terminal, opened, now)
    sealed = private_files.content(request)
    asked = requests.examine(opened, sealed, now)
    root = authority.unlock(opened)  # before the call: without it nothing can follow
    prompts.compare(terminal, sealed, asked, words)
    answer = enrolment.admit(opened, root, sealed, now)
    path = request.with_name(f"{asked.site}.admitted")
    private_files.write(path, answer)
    terminal.result(*views.admitted(opened, path, asked.site))


@server.command()
@click.argument("site")
@terminal.options
@prompts.opening
def revoke(terminal: Terminal, authority: Opening, site: str) -> None:
    """Revoke SITE: its certificates, its place in the roster, its open invite."""
    from server.conduct import studies  # noqa: PLC0415
    from server.desk import views  # noqa: PLC0415
    from server.members import consortium, enrolment  # noqa: PLC0415

    opened = consortium.load(authority.folder)
    root = authority.unlock(opened)
    roster = enrolment.revoke(opened, root, site, prompts.now())
    needing = studies.needing(opened.folder, site)
    terminal.result(*views.revoked(site, roster, needing))


@server.command()
@DIR
@terminal.options
def sites(terminal: Terminal, folder: Path) -> None:
    """List the sites: admitted when, until when, and in which state."""
    from server.desk import views  # noqa: PLC0415
    from server.members import consortium, enrolment  # noqa: PLC0415

    opened, now = consortium.load(folder), prompts.now()
    views.warn(terminal, opened, now)
    terminal.result(*views.sites(opened, enrolment.sites(opened, now)))


@server.command()
@terminal.options
@prompts.opening
def renew(terminal: Terminal, authority: Opening) -> None:
    """Give the aggregator a fresh TLS key and certificate."""
    from server.desk import views  # noqa: PLC0415
    from server.members import consortium, enrolment  # noqa: PLC0415

    opened = consortium.load(authority.folder)
    root = authority.unlock(opened)
    certificate = enrolment.renew(opened, root, prompts.now())
    terminal.result(*views.renewed(certificate))


for command in study_commands.COMMANDS:
    server.add_command(command)
