"""``consilium server``: what the operator of the aggregator runs."""

from pathlib import Path

import click

from common import terminal
from common.terminal import Terminal
from server import prompts
from server.prompts import FILE, FOLDER

DIR = click.option("--dir", "folder", metavar="DIR", type=FOLDER, required=True)
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    default=".",
    show_default=True,
    help="Where to write it.",
)


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
    from server import addresses, enrolment, views  # noqa: PLC0415 - only now needed

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
    from common import private_files  # noqa: PLC0415
    from server import addresses, consortium, enrolment, views  # noqa: PLC0415

    opened = consortium.load(folder)
    views.warn(terminal, opened, prompts.now())
    addresses.require_name("a site", site)
    sealed = enrolment.invite(opened, site, days, prompts.now())
    path = out / f"{site}.invite"
    private_files.write(path, sealed)
    terminal.result(*views.invited(path, site, days))


@server.command()
@click.argument("request", metavar="REQUEST", type=FILE)
@DIR
@OUT
@click.option("--words", help="The twelve words you were told, instead of a question.")
@prompts.AUTHORITY
@terminal.options
def admit(  # noqa: PLR0913 - a command's options are its parameters
    terminal: Terminal,
    *,
    request: Path,
    folder: Path,
    out: Path,
    words: str | None,
    ca_key: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Admit the hospital that made REQUEST, after comparing its words by phone."""
    from common import private_files  # noqa: PLC0415
    from server import consortium, enrolment, requests, views  # noqa: PLC0415

    opened, now = consortium.load(folder), prompts.now()
    views.warn(terminal, opened, now)
    sealed = private_files.content(request)
    asked = requests.examine(opened, sealed, now)
    prompts.compare(terminal, sealed, asked, words)
    authority = prompts.unlock(opened, ca_key, passphrase_file)
    path = out / f"{asked.site}.admitted"
    private_files.write(path, enrolment.admit(opened, authority, sealed, now))
    terminal.result(*views.admitted(opened, path, asked.site))


@server.command()
@click.argument("site")
@DIR
@prompts.AUTHORITY
@terminal.options
def revoke(
    terminal: Terminal,
    site: str,
    folder: Path,
    ca_key: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Revoke SITE: its certificates, its place in the roster, its open invite."""
    from server import consortium, enrolment, views  # noqa: PLC0415

    opened = consortium.load(folder)
    authority = prompts.unlock(opened, ca_key, passphrase_file)
    roster = enrolment.revoke(opened, authority, site, prompts.now())
    terminal.result(*views.revoked(site, roster))


@server.command()
@DIR
@terminal.options
def sites(terminal: Terminal, folder: Path) -> None:
    """List the sites: admitted when, until when, and in which state."""
    from server import consortium, enrolment, views  # noqa: PLC0415

    opened, now = consortium.load(folder), prompts.now()
    views.warn(terminal, opened, now)
    terminal.result(*views.sites(opened, enrolment.sites(opened, now)))


@server.command()
@DIR
@prompts.AUTHORITY
@terminal.options
def renew(
    terminal: Terminal, folder: Path, ca_key: Path | None, passphrase_file: Path | None
) -> None:
    """Give the aggregator a fresh TLS key and certificate."""
    from server import consortium, enrolment, views  # noqa: PLC0415

    opened = consortium.load(folder)
    authority = prompts.unlock(opened, ca_key, passphrase_file)
    certificate = enrolment.renew(opened, authority, prompts.now())
    terminal.result(*views.renewed(certificate))
