"""Who takes part: invite a hospital, admit it, renew, revoke. Clocks are arguments.

The order of writing is the order of safety: a code is spent before a certificate is
given, and a certificate is revoked before the roster says so. A command that was
interrupted can be given again.
"""

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from common.errors import UsageError
from common.trust import certificates, enrolment, identity, private_files, signed
from common.trust.certificates import fingerprint
from common.trust.enrolment import Admission, Invite, Member, Request, Roster
from common.written import slips
from server.members import authority as authorities
from server.members import requests
from server.members.authority import Authority
from server.members.consortium import About, Book, Consortium, Invited, Issued


@dataclass(frozen=True, slots=True)
class Row:
    """One line of ``consilium server sites``."""

    site: str
    admitted: str
    expires: str
    state: str
    warning: str | None

    def facts(self) -> dict[str, str | None]:
        """Return the line as plain data."""
        return asdict(self)


def found(folder: Path, about: About, passphrase: bytes, now: datetime) -> Consortium:
    """Make a consortium in *folder*: authority, aggregator, nobody admitted yet."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", fix="choose a new folder")
    ca_key, signing_key = identity.new_tls_key(), identity.new_signing_key()
    hidden = identity.pem(ca_key, passphrase)
    private_files.make_folder(folder)
    authority = authorities.new_authority(ca_key, about.consortium, now)
    consortium = Consortium(folder, about, signing_key, authority.certificate)
    private_files.write(folder / "ca.key", hidden)
    ca = certificates.pem(authority.certificate)
    private_files.write(folder / "ca.pem", ca.encode())
    private_files.write(folder / "signing.key", identity.pem(signing_key))
    renew(consortium, authority, now)
    _publish(consortium, authority, Book(), (), now)
    consortium.store("consortium.json", about)  # last: now it is a consortium
    return consortium


def invite(consortium: Consortium, site: str, days: int, now: datetime) -> bytes:
    """Return a signed invite for *site*; an earlier one that is unused ends with it."""
    code = secrets.token_hex(enrolment.CODE_LENGTH // 2)
    expires = now + timedelta(days=days)
    about = consortium.about
    written = Invite(
        consortium=about.consortium,
        site=site,
        url=about.url,
        ca=certificates.pem(consortium.ca),
        ca_fingerprint=fingerprint(consortium.ca),
        aggregator=consortium.aggregator,
        code=code,
        expires=expires,
    )
    note = Invited(site=site, code=requests.hashed(code), expires=expires)
    with consortium.alone():
        requests.begun(consortium, site).unlink(missing_ok=True)
        book = consortium.book()
        invited = (*_without_open(book, site), note)
        consortium.store("book.json", book.model_copy(update={"invited": invited}))
    return enrolment.seal(written, consortium.signing_key)


def admit(
    consortium: Consortium, authority: Authority, sealed: bytes, now: datetime
) -> bytes:
    """Return the admission that answers a request whose words were compared.

    The code is spent by now, so a copy stays in the folder in case the answer is lost.
    """
    with consortium.alone():
        request = requests.examine(consortium, sealed, now)
        key = certificates.requested(
            request.certificate_request, request.consortium, request.site
        )
        leaf = authorities.site_leaf(request.consortium, request.site)
        certificate = authorities.certify(authority, leaf, key, now)
        mark = requests.begun(consortium, request.site)
        private_files.write(mark, signed.digest(sealed))
        book = _noted(consortium.book(), request, certificate, now)
        member = _member(request, certificate, now)
        _publish(consortium, authority, book, (member,), now)
        answer = _admission(consortium, sealed, request, certificate)
        private_files.write(consortium.folder / f"{request.site}.admitted", answer)
        mark.unlink()
        return answer


def revoke(
    consortium: Consortium, authority: Authority, site: str, now: datetime
) -> Roster:
    """Revoke every certificate and every open invite of *site*."""
    with consortium.alone():
        requests.begun(consortium, site).unlink(missing_ok=True)
        book, member = consortium.book(), consortium.roster().member(site)
        invited = _without_open(book, site)
        if member is None and invited == book.invited:
            known = [each.site for each in consortium.roster().members]
            near = slips.suggest(site, known) or ", ".join(known) or "nobody"
            raise UsageError(f"there is no site {site}", fix=f"did you mean {near}?")
        book = book.model_copy(
            update={"invited": invited, "issued": _revoked(book, site, now)}
        )
        gone = (member.model_copy(update={"state": "revoked"}),) if member else ()
        _publish(consortium, authority, book, gone, now)
        return consortium.roster()


def renew(
    consortium: Consortium, authority: Authority, now: datetime
) -> x509.Certificate:
    """Give the aggregator a fresh TLS key and certificate, in one step."""
    key = identity.new_tls_key()
    leaf = authorities.aggregator_leaf(consortium.about.hosts)
    certificate = authorities.certify(authority, leaf, key.public_key(), now)
    both = identity.pem(key) + certificates.pem(certificate).encode()
    private_files.write(consortium.folder / "tls.pem", both)
    return certificate


def sites(consortium: Consortium, now: datetime) -> list[Row]:
    """Return every site that was admitted or is invited, by name."""
    members = consortium.roster().members
    rows = [_member_row(each, now) for each in members]
    for each in consortium.book().invited:
        if not each.used:
            state = "invited" if now <= each.expires else "invite expired"
            rows.append(Row(each.site, "", f"{each.expires:%Y-%m-%d}", state, None))
    return sorted(rows, key=lambda row: row.site)


def _publish(
    consortium: Consortium,
    authority: Authority,
    book: Book,
    changed: tuple[Member, ...],
    now: datetime,
) -> None:
    """Write book, revocation list and roster, in this order."""
    consortium.store("book.json", book)
    first = not (consortium.folder / "roster.json").exists()
    old = None if first else consortium.roster()
    version = old.version + 1 if old else 1
    names = {each.site for each in changed}
    kept = [each for each in (old.members if old else ()) if each.site not in names]
    members = tuple(sorted((*kept, *changed), key=lambda each: each.site))
    crl = authorities.revocations(authority, book.revoked(), version, now)
    private_files.write(consortium.folder / "crl.pem", crl)
    name = consortium.about.consortium
    consortium.publish(
        Roster(consortium=name, version=version, issued=now, members=members)
    )


def _noted(
    book: Book, request: Request, certificate: x509.Certificate, now: datetime
) -> Book:
    """Return the book with the code spent and the certificate in it.

    Who comes with a new invite has new keys, so certificates of the old ones end.
    """
    issued = book.issued if request.replaces else _revoked(book, request.site, now)
    serial = f"{certificate.serial_number:040x}"
    spent = tuple(
        each.model_copy(update={"used": now})
        if request.code and each.code == requests.hashed(request.code)
        else each
        for each in book.invited
    )
    return Book(
        invited=spent, issued=(*issued, Issued(site=request.site, serial=serial))
    )


def _revoked(book: Book, site: str, now: datetime) -> tuple[Issued, ...]:
    return tuple(
        each.model_copy(update={"revoked": now})
        if each.site == site and not each.revoked
        else each
        for each in book.issued
    )


def _without_open(book: Book, site: str) -> tuple[Invited, ...]:
    return tuple(each for each in book.invited if each.used or each.site != site)


def _member(request: Request, certificate: x509.Certificate, now: datetime) -> Member:
    return Member(
        site=request.site,
        serial=f"{certificate.serial_number:040x}",
        tls_fingerprint=fingerprint(certificate),
        signing_key=request.signing_key,
        admitted=now,
        expires=certificate.not_valid_after_utc,
    )


def _admission(
    consortium: Consortium,
    sealed: bytes,
    request: Request,
    certificate: x509.Certificate,
) -> bytes:
    answer = Admission(
        consortium=request.consortium,
        site=request.site,
        request=signed.digest(sealed).hex(),
        certificate=certificates.pem(certificate),
        ca=certificates.pem(consortium.ca),
        aggregator=consortium.aggregator,
        roster=consortium.sealed_roster().decode(),
    )
    return enrolment.seal(answer, consortium.signing_key)


def _member_row(member: Member, now: datetime) -> Row:
    state = "expired" if now > member.expires else member.state
    state = "revoked" if member.state == "revoked" else state
    warning = certificates.expiry_words(member.expires, now)
    shown = warning if state == "active" else None
    return Row(
        member.site,
        f"{member.admitted:%Y-%m-%d}",
        f"{member.expires:%Y-%m-%d}",
        state,
        shown,
    )
