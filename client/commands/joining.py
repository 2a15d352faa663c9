"""``consilium client join``, ``admitted`` and ``renew``: what a hospital's IT types."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common import terminal
from common.errors import ConsiliumError
from common.terminal import FILE, FOLDER, OUT, Terminal

if TYPE_CHECKING:  # help answers without loading it
    from client.trust.credentials import Credentials

HOME = click.option(
    "--home", type=FOLDER, required=True, help="Private folder of this site's identity."
)


@click.command()
@click.argument("invite", type=FILE)
@HOME
@OUT
@click.option(
    "--anew",
    is_flag=True,
    help="New keys in a home that has some, as after a revocation; its ledger stays.",
)
@terminal.options
def join(
    terminal: Terminal, *, invite: Path, home: Path, out: Path, anew: bool
) -> None:
    """Make this hospital's keys, and the request that answers INVITE."""
    from client.line import presence  # noqa: PLC0415 - only now needed
    from client.trust import enrolment  # noqa: PLC0415 - only now needed
    from common.trust import private_files  # noqa: PLC0415

    sealed = private_files.content(invite)
    if anew:
        presence.require_stopped(home)
    joined = enrolment.join(sealed, home, _now(), anew=anew)
    _asked(terminal, joined, out, by_phone=True)


@click.command()
@click.argument("admission", metavar="FILE", type=FILE)
@HOME
@terminal.options
def admitted(terminal: Terminal, admission: Path, home: Path) -> None:
    """Check the admission in FILE, and keep the certificate that it brings."""
    from client.trust import credentials, enrolment  # noqa: PLC0415
    from common.trust import private_files  # noqa: PLC0415

    roster = enrolment.admitted(private_files.content(admission), home, _now())
    kept = credentials.load(home)
    until = f"{kept.certificate().not_valid_after_utc:%Y-%m-%d}"
    active = [each.site for each in roster.members if each.state == "active"]
    facts = {
        "ok": True,
        "site": kept.invite.site,
        "consortium": kept.invite.consortium,
        "expires": until,
        "roster": roster.version,
        "sites": active,
    }
    text = (
        f"{kept.invite.site} is a site of {kept.invite.consortium} until {until}\n"
        f"roster  version {roster.version}: {', '.join(active)}\n"
        f"later:  consilium client renew --home {home}, a month before that date"
    )
    terminal.result(facts, text)


@click.command()
@HOME
@OUT
@terminal.options
def renew(terminal: Terminal, home: Path, out: Path) -> None:
    """Make a fresh TLS key, and the request to certify it for the same site."""
    from client.trust import enrolment  # noqa: PLC0415 - only now needed

    _asked(terminal, enrolment.renew(home, _now()), out, by_phone=False)


def _asked(
    terminal: Terminal, home: "Credentials", out: Path, *, by_phone: bool
) -> None:
    """Write the request for the operator, and say what to do with it."""
    from common.trust import enrolment, private_files  # noqa: PLC0415 - only now needed

    invite, sealed = home.invite, home.request()
    path = out / f"{invite.site}.request"
    if _anothers(path, sealed):
        terminal.say(f"warning: {path} was the request of other keys, and is replaced")
    private_files.write(path, sealed)
    spoken = enrolment.spoken(sealed)
    facts = {"ok": True, "site": invite.site, "request": str(path), "words": spoken}
    call = (
        f"wrote {path}: public keys only; the private ones stay in {home.folder}\n\n"
        f"1. Send it to the operator of {invite.consortium}.\n"
        "2. When they call, read these words, all of them:\n\n"
        f"   {spoken}\n\n"
        "   If they see other words, stop: somebody stands between you.\n"
    )
    sign = f"wrote {path}, signed by this site\n\n1. Send it to the operator.\n"
    answer = (
        f"{'3' if by_phone else '2'}. With the answer:  consilium client admitted "
        f"{invite.site}.admitted --home {home.folder}"
    )
    terminal.result(facts, (call if by_phone else sign) + answer)


def _anothers(path: Path, sealed: bytes) -> bool:
    """Say whether at *path* lies a request of other keys than those of *sealed*."""
    from common.trust import enrolment  # noqa: PLC0415 - only now needed

    if not path.exists():
        return False
    try:
        before = enrolment.unseal_request(path.read_bytes())
    except ConsiliumError:  # it is no request: nobody misses it
        return False
    return before.signing_key != enrolment.unseal_request(sealed).signing_key


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
