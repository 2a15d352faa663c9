"""Sends what Flower's clients ask for over connections of our own.

Flower's clients follow redirects and obey the proxies of the environment; a message
that did either would leave by a way that nobody approved. And they believe an answer's
length and packing; whoever sends one could fill the memory of who reads it.
"""

import ssl
import time
from importlib.metadata import version
from typing import Final

import httpx
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from common.errors import IntegrityError, MachineError

FLOWER: Final = "1.41.0"
"""The one version whose inside is known; see docs/flower-internals.md."""
CALL_SECONDS = 30.0
ANSWER_SECONDS = 120.0
ANSWER = 64 * 2**20
"""Seconds and bytes of an answer; Flower cuts arrays into pieces of 5 MiB."""


class Direct:
    """Sends each request itself: no proxy of the environment, no redirect followed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Hold one pool of connections that demand *context*."""
        require(version("flwr"))
        self._http = httpx.Client(verify=context, trust_env=False, timeout=CALL_SECONDS)

    def intercept(
        self, context: ProtobufRequestContext, call_next: ProtobufCall
    ) -> httpx.Response:
        """Send instead of Flower's own client, which would follow both."""
        del call_next
        request = context.request
        request.headers["accept-encoding"] = "identity"
        answer = self._http.send(request, stream=True, follow_redirects=False)
        try:
            return _whole(answer)
        finally:
            answer.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def require(found: str) -> None:
    """Raise MachineError unless Flower is *found* in the version that is known."""
    if found != FLOWER:
        raise MachineError(
            f"Flower is installed in version {found}, and {FLOWER} is needed",
            likely="another package brought it along, or it was upgraded by hand",
            fix=f"pip install flwr=={FLOWER}",
        )


def _whole(answer: httpx.Response) -> httpx.Response:
    """Return *answer* read to its end: not unpacked, and not without an end."""
    if "content-encoding" in answer.headers:
        raise IntegrityError("an answer is packed, which none of ours is")
    until, content = time.monotonic() + ANSWER_SECONDS, bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > ANSWER:
            raise IntegrityError(f"an answer is larger than {ANSWER // 2**20} MiB")
        if time.monotonic() > until:
            raise httpx.ReadTimeout("an answer does not end", request=answer.request)
    return httpx.Response(
        answer.status_code,
        headers={"content-type": answer.headers.get("content-type", "")},
        content=bytes(content),
        request=answer.request,
    )
