"""Which database advice is proved on."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.dsn import DsnError
from tui.target import TargetError, resolve_target
from workload.store import Store


def test_what_was_given_wins(store_path: Path) -> None:
    with Store.open(store_path) as store:
        dsn = resolve_target("postgresql://me@here:1/mine", {"DATABASE_URL": "postgresql://x@y/z"}, store)
    assert (dsn.host, dsn.port, dsn.user, dsn.database) == ("here", 1, "me", "mine")


def test_the_noted_upstream_comes_before_the_environment_and_takes_its_password(store_path: Path) -> None:
    environment = {"DATABASE_URL": "postgresql://app@127.0.0.1:6432/shop", "PGPASSWORD": "secret"}
    with Store.open(store_path) as store:
        dsn = resolve_target(None, environment, store)
    assert (dsn.host, dsn.database, dsn.password) == ("db.internal", "shop", "secret")


def test_a_database_without_traffic_gives_way_to_the_busiest(store_path: Path) -> None:
    with Store.open(store_path) as store:
        store.set_meta("upstream", "postgresql://app@db.internal:5432/postgres")
        assert resolve_target(None, {}, store).database == "shop"


def test_an_empty_store_keeps_the_upstreams_database(empty_store: Path) -> None:
    with Store.open(empty_store) as store:
        assert resolve_target(None, {}, store).database == "shop"


def test_the_environment_where_the_store_knows_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "new.db") as store:
        assert resolve_target(None, {"DATABASE_URL": "postgresql://a@b/c"}, store).host == "b"
        assert resolve_target(None, {"PGHOST": "h", "PGUSER": "u"}, store).host == "h"
        with pytest.raises(TargetError, match="--target URL"):
            resolve_target(None, {}, store)
        with pytest.raises(DsnError):
            resolve_target("postgresql://a@b:port/c", {}, store)
