"""The server's side of a session while the client logs in: it notes whose cancel key it is.

It also hears the refusal of a login that cannot hold from end to end, see ``proxy.relay.connector``.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.dsn import Address
from proxy.relay.cancelkeys import NOT_LISTED, CancelKeys, KeyWatch
from proxy.relay.session import Link, ServerSide
from proxy.relay.sockets import numeric_host
from proxy.wire.messages import error_fields
from proxy.wire.sasl import ERROR, refuses_channel_binding


class LoginSide(ServerSide):
    """Relays as ``ServerSide`` does, and gives its place to one as soon as the key is known."""

    __slots__ = ("_address", "_count", "_keys", "_unbound", "_watch")

    def __init__(
        self,
        link: Link,
        address: Address,
        keys: CancelKeys,
        count: Callable[[str], None],
        unbound: Callable[[], None] | None = None,
    ) -> None:
        """``unbound`` is called when the server refuses the login for its channel binding."""
        super().__init__(link)
        self._unbound = unbound
        self._address = address
        self._keys = keys
        self._count = count
        self._watch = KeyWatch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A refusal comes alone, in answer to the client's proof.
        if self._unbound is not None and data[0] == ERROR:
            if refuses_channel_binding(error_fields(data, 5, len(data))):
                self._unbound()
            self._unbound = None
        watch = self._watch
        watch.feed(data)
        if not watch.over:
            return
        link = self._link
        if watch.identity is not None:
            link.key_place = self._keys.issued(watch.identity, self._address, numeric_host(link.server))
            if link.key_place == NOT_LISTED:
                self._count("cancel.unlisted")
        if not link.server_gone:
            link.server.set_protocol(ServerSide(link))
