"""Sends what Flower's clients ask for over connections of our own.

Flower's clients follow redirects and obey the proxies of the environment; a message
that did either would leave by a way that nobody approved. They also take in an answer
however large it is, until this process ends.
"""

import ssl
import time

import httpx
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from common.errors import IntegrityError

CALL_SECONDS = 30.0
ANSWER_SECONDS = 120.0
ANSWER = 64 * 2**20
"""Seconds that an answer may take, and bytes that it may have."""


class Direct:
    """Sends each request itself: no proxy of the environment, no redirect followed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Hold one pool of connections that demand *context*."""
        self._http = httpx.Client(verify=context, trust_env=False, timeout=CALL_SECONDS)

    def intercept(
        self, context: ProtobufRequestContext, call_next: ProtobufCall
    ) -> httpx.Response:
        """Send instead of Flower's own client, which would follow both."""
        del call_next
        request = context.request
        answer = self._http.send(request, stream=True, follow_redirects=False)
        try:
            content = _content(answer)
        finally:
            answer.close()
        return httpx.Response(answer.status_code, content=content, request=request)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def _content(answer: httpx.Response) -> bytes:
    """Return the body of *answer*; raise when it is too large, or does not end."""
    until, content = time.monotonic() + ANSWER_SECONDS, bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > ANSWER:
            raise IntegrityError(f"an answer is larger than {ANSWER // 2**20} MiB")
        if time.monotonic() > until:
            raise httpx.ReadTimeout("an answer does not end", request=answer.request)
    return bytes(content)
