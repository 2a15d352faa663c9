"""May this request be admitted? Everything that can be known before the phone call."""

import hashlib
from datetime import datetime
from pathlib import Path

from common.errors import IdentityError
from common.trust import certificates, enrolment, private_files, signed
from common.trust.certificates import fingerprint
from common.trust.enrolment import Request
from server.members.consortium import Consortium, Invited


def examine(consortium: Consortium, sealed: bytes, now: datetime) -> Request:
    """Return the request in *sealed* if the consortium's own papers allow it.

    Whether it is the hospital's own, and not that of someone in between, only the
    people find out who compare its words.
    """
    request = enrolment.unseal_request(sealed)
    _require_ours(consortium, request)
    certificates.requested(
        request.certificate_request, request.consortium, request.site
    )
    if _cut_off(consortium, sealed, request.site):
        return request
    if request.replaces:
        _require_current(consortium, request)
    else:
        _require_invited(consortium, request, now)
    return request


def begun(consortium: Consortium, site: str) -> Path:
    """Return the file that says which request of *site* is being admitted.

    It is there while the papers are written: whose admission was cut off meanwhile has
    spent its code, or replaced its certificate, and has nothing for it.
    """
    return consortium.folder / f"{site}.admitting"


def _cut_off(consortium: Consortium, sealed: bytes, site: str) -> bool:
    """Say whether the admission of this very request was cut off."""
    path = begun(consortium, site)
    return path.exists() and private_files.read(path) == signed.digest(sealed)


def hashed(code: str) -> str:
    """Return what is remembered of a one-time code: it has 128 bits, so no salt."""
    return hashlib.sha256(code.encode()).hexdigest()


def require_heard(sealed: bytes, heard: str) -> None:
    """Raise IdentityError unless the words that a person *heard* are the request's."""
    if enrolment.heard(heard) != enrolment.spoken(sealed):
        raise IdentityError(
            "the words are not those of this request",
            likely="a word was misheard, or this is not the request the hospital made",
            fix="read all twelve again; if they differ, admit nobody and tell both IT",
        )


def _require_ours(consortium: Consortium, request: Request) -> None:
    ours = (
        consortium.about.consortium,
        fingerprint(consortium.ca),
        consortium.aggregator,
    )
    if (request.consortium, request.ca_fingerprint, request.aggregator) != ours:
        raise IdentityError(
            f"{request.site} believes in another consortium than this one",
            likely="an invite of another consortium, or somebody swapped the invite",
            fix="ask the hospital for the invite it got and compare it with yours",
        )


def _require_invited(consortium: Consortium, request: Request, now: datetime) -> None:
    note = _note(consortium, request)
    if note is None:
        raise IdentityError(
            f"the code in the request of {request.site} is not one that was given out",
            likely="a newer invite replaced it, or the request was made up",
            fix=_invite(consortium, request.site),
        )
    if note.used:
        raise IdentityError(
            f"the invite of {note.site} was used already, on {note.used:%Y-%m-%d}",
            likely="this request was admitted before, or someone copied the code",
            fix=f"send {consortium.folder / note.site}.admitted again; if the site "
            f"lost its keys:   {_invite(consortium, note.site)}",
        )
    if now > note.expires:
        raise IdentityError(
            f"the invite of {note.site} expired on {note.expires:%Y-%m-%d}",
            fix=_invite(consortium, note.site),
        )
    if note.site != request.site:
        raise IdentityError(
            f"the invite was for {note.site}, the request says {request.site}",
            likely="a hospital used another one's invite",
            fix=_invite(consortium, request.site),
        )


def _invite(consortium: Consortium, site: str) -> str:
    return f"consilium server invite {site} --dir {consortium.folder}"


def _note(consortium: Consortium, request: Request) -> Invited | None:
    code = hashed(request.code or "")
    return next((each for each in consortium.book().invited if each.code == code), None)


def _require_current(consortium: Consortium, request: Request) -> None:
    """Raise unless the site that asks for a renewal is the one in the roster."""
    member = consortium.roster().member(request.site)
    if member is None or member.state != "active":
        state = "was never admitted" if member is None else "was revoked"
        raise IdentityError(
            f"{request.site} {state}, so there is nothing to renew",
            fix=_invite(consortium, request.site),
        )
    kept = (member.signing_key, member.tls_fingerprint)
    if (request.signing_key, request.replaces) != kept:
        raise IdentityError(
            f"the renewal is not by the {request.site} that was admitted",
            likely="an old renewal, or a request by someone else",
            fix=f"ask {request.site} to run `consilium client renew` again",
        )
