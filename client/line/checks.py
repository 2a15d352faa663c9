"""What a site needs, as checks: each returns what it saw, or raises what mends it.

Nothing is changed, no record is read, and nothing is sent but greetings.
"""

import os
import platform
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from client import site
from client.books import home as homes
from client.books import ledger
from client.line import presence
from client.site import Site
from client.sources import opening
from client.trust import credentials
from client.trust.credentials import Credentials
from common.errors import IdentityError, MachineError, NetworkError, StudyError
from common.trust import certificates, handshake, private_files, tls

WAIT = 5.0
AHEAD, BEHIND, EXACT = 4.0, 300.0, 2.0
"""Seconds that a clock may be ahead or behind before no call is taken any more."""
ROOM = 500 * 2**20
"""Bytes that the ledger and the inbox should have left to grow."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check that did not fail saw; *fix* when it will fail soon."""

    text: str
    fix: str = ""


@dataclass(frozen=True)
class Patient:
    """The site that is examined, and the settings of the process that examines it."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @cached_property
    def site(self) -> Site:
        """Its settings."""
        return site.read(self.path)

    @cached_property
    def home(self) -> Path:
        """Its home; raises StudyError without one."""
        if self.site.home is None:
            fix = f'at the top of {self.path}:   home = "state"'
            raise StudyError("site.toml names no home", fix=fix)
        return self.site.home

    @cached_property
    def papers(self) -> Credentials:
        """Its identity."""
        return credentials.load(self.home)

    @cached_property
    def host(self) -> str:
        """The machine of its aggregator."""
        return urlsplit(self.papers.invite.url).hostname or ""

    @cached_property
    def port(self) -> int:
        """The port of its aggregator."""
        return urlsplit(self.papers.invite.url).port or 443


def settings(who: Patient) -> Seen:
    """Is there a site.toml that says where everything is?"""
    return Seen(f"{who.site.name}, home {who.home}")


def home(who: Patient) -> Seen:
    """Is the home this user's alone, with all that is in it?"""
    if not who.home.exists():
        fix = f"consilium client join INVITE --home {who.home}"
        raise IdentityError(f"there is no folder {who.home}", fix=fix)
    if not os.access(who.home, os.R_OK | os.W_OK | os.X_OK):
        fix = f"run as {who.home.owner()}, or:   chown -R $(id -un) {who.home}"
        raise MachineError(f"{who.home} is another user's", fix=fix)
    files = [each for each in sorted(who.home.rglob("*")) if each.is_file()]
    for each in files:
        private_files.require_private(each)
    private_files.require_private(who.home / "ledger.jsonl")
    return Seen(f"yours alone, with {len(files)} files")


def identity(who: Patient) -> Seen:
    """Was this site admitted, under the name that site.toml says?"""
    papers = who.papers
    papers.certificate()
    if papers.invite.site != who.site.name:
        fix = f'site = "{papers.invite.site}"   in {who.path}'
        raise IdentityError(f"the identity is of {papers.invite.site}", fix=fix)
    roster = papers.roster()
    member = roster.member(papers.invite.site)
    if member is None or member.state != "active":
        fix = "ask the aggregator's operator for a new invite"
        raise IdentityError("the roster says that this site was revoked", fix=fix)
    of = f"{papers.invite.consortium}, roster version {roster.version}"
    return Seen(f"{papers.invite.site} of {of}")


def certificate(who: Patient) -> Seen:
    """Does the certificate last?"""
    found, now = who.papers.certificate(), who.clock()
    renew = f"consilium client renew --home {who.home}"
    if now > found.not_valid_after_utc:
        what = f"expired on {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise IdentityError(what, fix=renew)
    if words := certificates.expiry_warning(found, now):
        return Seen(words, fix=renew)
    return Seen(f"until {found.not_valid_after_utc:%Y-%m-%d}")


def dns(who: Patient) -> Seen:
    """Does the aggregator's name lead to an address?"""
    try:
        found = socket.getaddrinfo(who.host, who.port, type=socket.SOCK_STREAM)
    except OSError:
        what = f"{who.host} is no name that this machine knows"
        fix = f"getent hosts {who.host}   or ask your network's people"
        raise NetworkError(what, fix=fix) from None
    addresses = sorted({str(each[4][0]) for each in found})
    return Seen(f"{who.host} is {', '.join(addresses)}")


def tcp(who: Patient) -> Seen:
    """Does the firewall let us out to the aggregator?"""
    try:
        socket.create_connection((who.host, who.port), WAIT).close()
    except OSError as reason:
        raise NetworkError(
            f"no connection to {who.host}:{who.port} ({type(reason).__name__})",
            fix=f"allow TCP out to {who.host} port {who.port}, and nothing else; or "
            "the aggregator is down: ask its operator",
        ) from None
    return Seen(f"{who.host}:{who.port} answers")


def chain(who: Patient) -> Seen:
    """Do both sides accept each other's certificate?"""
    context = tls.site_context(who.home / "tls.pem", who.home / "ca.pem")
    handshake.probe(context, who.host, who.port)
    root = certificates.read(private_files.read(who.home / "ca.pem"))
    shown = certificates.fingerprint(root)
    if shown != who.papers.invite.ca_fingerprint:
        fix = f"restore {who.home} from one backup, or join again"
        raise IdentityError("the authority is another than the invite's", fix=fix)
    return Seen(
        f"TLS 1.3, certificates on both sides; authority\n{shown}\n"
        "as in the invite: compare it with what the operator reads to you"
    )


def clock(who: Patient) -> Seen:
    """Does this machine's clock agree with the aggregator's?"""
    context = tls.site_context(who.home / "tls.pem", who.home / "ca.pem")
    with httpx.Client(verify=context, trust_env=False, timeout=WAIT) as http:
        begun = who.clock()
        try:
            # The door answers any GET with a no, and with the time.
            answer = http.get(who.papers.invite.url, follow_redirects=False)
            theirs = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5
        except (httpx.HTTPError, KeyError, ValueError) as fault:
            what = f"the aggregator does not tell the time ({type(fault).__name__})"
            raise NetworkError(what, fix="ask the aggregator's operator") from None
    ours = (begun.timestamp() + who.clock().timestamp()) / 2
    return compared(ours - theirs)


def compared(ahead: float) -> Seen:
    """Say what a clock means that is so many seconds *ahead* of the aggregator's."""
    way = "ahead of" if ahead > 0 else "behind"
    words = f"{abs(ahead):.0f} s {way} the aggregator's"
    other = "is this clock right, the aggregator's is wrong: tell its operator"
    fix = f"timedatectl set-ntp true   # {other}"
    if ahead > AHEAD or -ahead > BEHIND:
        raise MachineError(f"{words}: it takes no call of this machine", fix=fix)
    if abs(ahead) > EXACT:
        return Seen(words, fix=fix)
    return Seen("agrees with the aggregator's, to 2 s")


def proxies(who: Patient) -> Seen:
    """Which proxies does the environment name? They are not used."""
    found = [name for name in who.environment if name.lower() in PROXIES]
    if not found:
        return Seen("none in the environment")
    return Seen(f"{', '.join(sorted(found))}: not used; the connection is direct")


def disk(who: Patient) -> Seen:
    """Is there room for the ledger?"""
    free = shutil.disk_usage(who.home).free
    words = f"{free / 2**30:.1f} GiB free in {who.home}"
    if free < ROOM:
        fix = f"free some space: df -h {who.home}"
        raise MachineError(f"only {words}; a full disk stops every answer", fix=fix)
    return Seen(words)


def book(who: Patient) -> Seen:
    """Is the ledger whole?"""
    head = ledger.verify(homes.log(who.home))
    return Seen(f"{head.number} entries, whole; head {head}")


def data(who: Patient) -> Seen:
    """Is every source there, with all that is mapped to it?"""
    return Seen("\n".join(opening.probe(who.site)))


def versions(_: Patient) -> Seen:
    """What runs here?"""
    named = [f"{name} {version(name)}" for name in ("consilium", "flwr")]
    return Seen(", ".join([*named, f"Python {platform.python_version()}"]))


def process(who: Patient) -> Seen:
    """Does the resident process run?"""
    number, page = presence.running(who.home), presence.read(who.home)
    if not number:
        fix = f"consilium client start --site {who.path}"
        raise MachineError("the resident process does not run", fix=fix)
    return Seen(f"process {number} runs, {page.state if page else 'starting'}")
