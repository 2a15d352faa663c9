"""Sends what Flower's clients ask for over connections of our own.

Flower's clients follow redirects and obey the proxies of the environment; a message
that did either would leave by a way that nobody approved.
"""

import ssl

import httpx
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

CALL_SECONDS = 30.0


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
        return self._http.send(context.request, follow_redirects=False)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()
