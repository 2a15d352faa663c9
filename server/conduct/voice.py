"""How the aggregator speaks, and how it knows that a site has spoken.

In a simulation within one process nobody stands between, and nothing is signed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from flwr.app import RecordDict

from common.errors import IdentityError, IntegrityError
from common.travel import seal
from common.travel.pinned import Pinned
from common.trust import identity
from common.trust.identity import SigningKey
from server.members.consortium import Consortium

Say = Callable[[RecordDict, str], RecordDict]
Check = Callable[[str, RecordDict, str], None]


@dataclass(frozen=True, slots=True)
class Voice:
    """What sites are shown of the roster; ``say(content, kind)``; ``check(site, ..)``.

    ``check`` raises unless the site itself, by the roster as it is now, said it.
    ``key`` is the aggregator's own and ``pinned`` gives whom it believes, for masks.
    """

    members: Callable[[], str]
    say: Say
    check: Check
    key: SigningKey | None = None
    pinned: Callable[[], Pinned] = lambda: Pinned("", {})


PLAIN = Voice(lambda: "", lambda content, _: content, lambda *_: None)


def simulated(key: str, pinned: str) -> Voice:
    """Return a voice that signs no message, and has the keys for masked rounds."""
    own = SigningKey.from_private_bytes(bytes.fromhex(key))
    return replace(PLAIN, key=own, pinned=lambda: Pinned.read(pinned))


def of(consortium: Consortium) -> Voice:
    """Return the voice of the aggregator of *consortium*."""
    key = consortium.signing_key
    return Voice(
        members=lambda: consortium.sealed_roster().decode(),
        say=lambda content, kind: seal.sign(content, kind, seal.AGGREGATOR, key),
        check=lambda site, content, kind: _check(consortium, site, content, kind),
        key=key,
        pinned=lambda: Pinned.of(consortium.aggregator, consortium.roster().members),
    )


def _check(consortium: Consortium, site: str, content: RecordDict, kind: str) -> None:
    member = consortium.roster().member(site)
    if member is None or member.state != "active":
        state = "revoked" if member else "unknown to this consortium"
        raise IdentityError(
            f"an answer comes from {site!r}, which is {state}",
            fix="see   consilium server sites --dir DIR",
        )
    try:
        seal.verify(content, kind, site, identity.public_key(member.signing_key))
    except (IdentityError, IntegrityError) as wrong:
        raise type(wrong)(f"{site}: {wrong.what}", **wrong.hints) from None
