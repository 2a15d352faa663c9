"""The two ends of every connection: TLS 1.3, certificates on both sides, no options.

There is no way to turn any of it off. A file named here holds a key and its certificate
together, so that a renewal replaces both in one step.
"""

import ssl
from pathlib import Path

from common.errors import IdentityError
from common.trust import private_files


def aggregator_context(own: Path, ca: Path, revoked: Path) -> ssl.SSLContext:
    """Return the aggregator's end: a site shows a certificate that is not *revoked*.

    Args:
        own: the aggregator's key and certificate.
        ca: the consortium's authority.
        revoked: its revocation list; without one no connection is accepted.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, own, ca, revoked)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    # A resumed session skips the certificate, and with it the revocation list.
    context.num_tickets = 0
    return context


def site_context(own: Path, ca: Path) -> ssl.SSLContext:
    """Return a site's end: it trusts the consortium's authority and nothing else."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, own, ca)


def _context(side: int, own: Path, *trusted: Path) -> ssl.SSLContext:
    private_files.require_private(own)
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        for path in trusted:
            context.load_verify_locations(cafile=path)
        context.load_cert_chain(own)
    except (OSError, ssl.SSLError):  # the library's words say no more
        raise IdentityError(
            "a certificate, key or revocation list cannot be used",
            where=", ".join(str(path) for path in (own, *trusted)),
            likely="one is missing or damaged, or the key is another certificate's",
            fix="restore the folder from one backup, or join again",
        ) from None
    return context
