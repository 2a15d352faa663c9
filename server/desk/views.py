"""What the operator's commands show: each result as data and as text."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from common.terminal import Terminal
from common.trust import certificates
from common.trust.enrolment import Roster
from server.conduct.studies import Submitted
from server.members.consortium import Consortium
from server.members.enrolment import Row

Shown = tuple[dict[str, object], str]


def warn(terminal: Terminal, consortium: Consortium, now: datetime) -> None:
    """Say on stderr which of the consortium's own certificates ends soon."""
    folder = consortium.folder
    aggregator = certificates.expiry_warning(consortium.certificate(), now)
    if aggregator:
        terminal.say(
            f"warning: the aggregator's certificate {aggregator}\n"
            f"  fix     consilium server renew --dir {folder}"
        )
    authority = certificates.expiry_warning(consortium.ca, now)
    if authority:
        terminal.say(
            f"warning: the consortium's authority {authority}\n"
            "  fix     found a new one with `consilium server init`, invite every site"
        )


def founded(consortium: Consortium) -> Shown:
    """Show a new consortium."""
    folder, about = consortium.folder, consortium.about
    root = certificates.fingerprint(consortium.ca)
    ends = f"{consortium.certificate().not_valid_after_utc:%Y-%m-%d}"
    facts: dict[str, object] = {
        "ok": True,
        "consortium": about.consortium,
        "url": about.url,
        "ca_fingerprint": root,
        "aggregator_expires": ends,
    }
    text = (
        f"founded {about.consortium} in {folder}\n"
        f"sites connect to  {about.url}\n"
        f"authority         {root}\n"
        f"certificate until {ends}\n\n"
        f"Only admit, revoke and renew need {folder / 'ca.key'} and its passphrase.\n"
        "Keep the key on a medium of its own, and give it with --ca-key.\n"
        f"next:   consilium server invite SITE --dir {folder}"
    )
    return facts, text


def invited(path: Path, site: str, days: int) -> Shown:
    """Show a written invite."""
    text = (
        f"wrote {path}; it works once, for {days} days\n"
        f"next:   send it to {site}, who runs: consilium client join {path.name} "
        "--home HOME"
    )
    return {"ok": True, "site": site, "invite": str(path), "days": days}, text


def admitted(consortium: Consortium, path: Path, site: str) -> Shown:
    """Show an admission."""
    roster = consortium.roster()
    member = roster.member(site)
    until = f"{member.expires:%Y-%m-%d}" if member else ""
    text = (
        f"admitted {site} until {until}; the roster is version {roster.version}\n"
        f"next:   send {path} to {site}, who runs: consilium client admitted "
        f"{path.name} --home HOME"
    )
    facts: dict[str, object] = {
        "ok": True,
        "site": site,
        "admitted": str(path),
        "expires": until,
        "roster": roster.version,
    }
    return facts, text


def revoked(site: str, roster: Roster, needing: Sequence[Submitted]) -> Shown:
    """Show a revocation, and the studies that it holds up."""
    lines = [f"revoked {site}; the roster is version {roster.version}"]
    for each in needing:
        lines.append(f"{each.name} is not over, and invites {site}")
        lines.append(f"  fix     {each.command('retry')} --without {site}")
        lines.append(f"  or      {each.command('stop')}")
    facts: dict[str, object] = {
        "ok": True,
        "site": site,
        "roster": roster.version,
        "studies": [each.study.digest() for each in needing],
    }
    return facts, "\n".join(lines)


def sites(consortium: Consortium, rows: list[Row]) -> Shown:
    """Show every site as a table."""
    version = consortium.roster().version
    widest = max([len(row.site) for row in rows], default=0) + 2
    width = max(widest, len("site") + 2)
    lines = [f"{'site':<{width}}{'admitted':<12}{'expires':<12}state"]
    lines += [
        f"{row.site:<{width}}{row.admitted or '-':<12}{row.expires:<12}{row.state}"
        + (f", {row.warning}" if row.warning else "")
        for row in rows
    ]
    table = "\n".join(lines) if rows else "nobody is invited or admitted yet"
    about = consortium.about
    facts: dict[str, object] = {
        "ok": True,
        "consortium": about.consortium,
        "roster": version,
        "sites": [row.facts() for row in rows],
    }
    return facts, f"{about.consortium}, roster version {version}\n\n{table}"


def renewed(certificate: x509.Certificate) -> Shown:
    """Show the aggregator's new certificate."""
    ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    text = f"the aggregator has a new key and certificate until {ends}"
    facts: dict[str, object] = {
        "ok": True,
        "expires": ends,
        "fingerprint": certificates.fingerprint(certificate),
    }
    return facts, text
