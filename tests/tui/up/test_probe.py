"""What the first look at PostgreSQL leads to."""

from __future__ import annotations

import pytest

from proxy.relay.settings import ListenTLS, UpstreamTLS
from tui.up.errors import UpError
from tui.up.probe import Probe, advice, refuse_impossible

SHOWN = ListenTLS("crt", "key")
REQUIRE = UpstreamTLS(mode="require")
STRIP = UpstreamTLS(mode="require", strip_channel_binding=True)
BINDING = Probe(binding=True)


def test_only_what_can_never_work_is_refused() -> None:
    with pytest.raises(UpError, match="--strip-channel-binding"):
        refuse_impossible(BINDING, REQUIRE, None)
    refuse_impossible(Probe(), REQUIRE, None)
    refuse_impossible(BINDING, STRIP, None)
    refuse_impossible(BINDING, REQUIRE, SHOWN)
    refuse_impossible(BINDING, UpstreamTLS(mode="prefer"), None)


def test_what_is_said() -> None:
    said = advice(BINDING, REQUIRE, SHOWN)
    assert "--tls-cert" in said
    assert "channel_binding=disable" in said
    assert "go on in plaintext" in advice(Probe(True, in_plaintext=True), UpstreamTLS(mode="prefer"), None)
    assert "--strip-channel-binding" in advice(BINDING, UpstreamTLS(mode="allow"), None)


@pytest.mark.parametrize(
    ("found", "upstream", "clients"),
    [(Probe(), REQUIRE, None), (Probe(True, True), REQUIRE, SHOWN), (BINDING, STRIP, None)],
)
def test_what_works_needs_no_words(found: Probe, upstream: UpstreamTLS, clients: ListenTLS | None) -> None:
    assert advice(found, upstream, clients) == ""
