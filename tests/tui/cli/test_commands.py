"""The commands that read and decide, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery

Pgcoach = Callable[..., tuple[int, str, str]]


def test_queries_as_json(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, err = pgcoach("queries", "--json", "--store", store_path)
    assert (code, err) == (0, "")
    rows: list[dict[str, Any]] = json.loads(out)
    assert len(rows) == 7
    first = rows[0]
    wanted = {"calls", "total_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "rows", "errors", "tables"}
    assert wanted <= first.keys()
    assert first["fingerprint"] == "0000000000000001"
    assert first["query"].startswith("SELECT id, name")
    assert first["database"] == "shop"
    assert first["first_seen"].endswith("Z")
    assert first["p50_ms"] <= first["p95_ms"] <= first["p99_ms"] <= first["max_ms"]
    totals = [row["total_ms"] for row in rows]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(
    ("order", "key"),
    [("calls", "calls"), ("mean", "mean_ms"), ("p95", "p95_ms"), ("rows", "rows"), ("total", "total_ms")],
)
def test_queries_in_every_order(pgcoach: Pgcoach, store_path: Path, order: str, key: str) -> None:
    code, out, _ = pgcoach("queries", "--json", "--order", order, "--limit", "3", "--store", store_path)
    values = [row[key] for row in json.loads(out)]
    assert code == 0
    assert len(values) == 3
    assert values == sorted(values, reverse=True)


def test_queries_for_people_are_whole_lines_in_a_pipe(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, _ = pgcoach("queries", "--store", store_path)
    assert code == 0
    assert "GROUP BY c.name ORDER BY 2 DESC LIMIT $2" in out
    assert "tags[$2]" in out
    assert "\x1b" not in out


def test_a_span_without_queries_says_so_and_prints_no_table(pgcoach: Pgcoach, empty_store: Path) -> None:
    code, out, err = pgcoach("queries", "--since", "15m", "--store", empty_store)
    assert (code, out) == (0, "")
    assert "no queries" in err
    assert json.loads(pgcoach("queries", "--json", "--store", empty_store)[1]) == []


def test_a_bad_span_is_usage(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, err = pgcoach("queries", "--since", "soon", "--store", store_path)
    assert (code, out) == (2, "")
    assert "--since: 'soon' is not a span of time" in err


def test_an_unknown_option_is_usage(pgcoach: Pgcoach) -> None:
    code, out, err = pgcoach("queries", "--ordre", "calls")
    assert (code, out) == (2, "")
    assert "--ordre" in err


@pytest.mark.parametrize(
    "command",
    [
        ("queries",),
        ("findings",),
        ("advice",),
        ("advice", "show", "x"),
        ("advice", "accept", "x"),
        ("advise",),
        ("export",),
    ],
    ids=" ".join,
)
def test_a_missing_store_says_what_to_do(pgcoach: Pgcoach, tmp_path: Path, command: tuple[str, ...]) -> None:
    code, out, err = pgcoach(*command, "--store", tmp_path / "none.db")
    assert (code, out) == (2, "")
    assert "pgcoach up" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "none.db").exists()


def test_what_is_no_store_is_refused(pgcoach: Pgcoach, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("these are not the bytes of a database" * 40)
    code, _, err = pgcoach("queries", "--store", tmp_path / "x.db")
    assert code == 2
    assert "not a pgcoach store" in err


def test_the_store_can_come_from_the_environment(
    pgcoach: Pgcoach, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCOACH_STORE", str(store_path))
    assert len(json.loads(pgcoach("findings", "--json")[1])) == 2


def test_findings_as_json(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, _ = pgcoach("findings", "--json", "--store", store_path)
    first, second = json.loads(out)
    assert code == 0
    assert first["class"] == "n_plus_one_read"
    assert first["confidence"] == "high"
    assert first["tables"] == ["public.order_lines", "public.orders"]
    assert first["columns"] == ["public.order_lines.order_id", "public.orders.id"]
    assert first["child"] == {"schema": "public", "table": "order_lines", "column": "order_id"}
    assert first["evidence"]["calls_per_unit"] == 20.0
    assert (first["calls"], first["units"], first["wasted_ms"]) == (19_000, 950, 5_400.0)
    assert first["query"] == "SELECT id, total FROM order_lines WHERE order_id = $1"
    assert "sample_calls" not in first
    assert second["tables"] == ["products"]


def test_findings_for_people(pgcoach: Pgcoach, store_path: Path, empty_store: Path) -> None:
    _, out, _ = pgcoach("findings", "--store", store_path)
    assert "order_lines are read one order at a time" in out


def test_no_findings_and_no_advice_say_what_that_means(pgcoach: Pgcoach, empty_store: Path) -> None:
    assert "no findings" in pgcoach("findings", "--store", empty_store)[2]
    assert "pgcoach advise" in pgcoach("advice", "--store", empty_store)[2]
    code, _, err = pgcoach("export", "--store", empty_store)
    assert code == 2
    assert "pgcoach advice accept ID" in err


def test_advice_is_listed_shown_and_decided(pgcoach: Pgcoach, store_path: Path) -> None:
    listed = json.loads(pgcoach("advice", "--json", "--store", store_path)[1])
    assert [each["id"] for each in listed] == ["ix1", "ba1", "ix2"]
    assert listed[0]["advice"]["candidate"]["table"] == "products"
    assert "Index products (category_id, id)" in pgcoach("advice", "--store", store_path)[1]
    _, text, _ = pgcoach("advice", "show", "ba", "--store", store_path)
    assert "selectinload(Order.lines)" in text
    assert json.loads(pgcoach("advice", "show", "ix1", "--json", "--store", store_path)[1])[0]["id"] == "ix1"

    code, out, err = pgcoach("advice", "reject", "ix1", "--reason", "too big", "--store", store_path)
    assert (code, out, err) == (0, "", "rejected: Index products (category_id, id)\n")
    assert pgcoach("advice", "snooze", "ba1", "--store", store_path)[0] == 0
    assert pgcoach("advice", "accept", "ix2", "--store", store_path)[0] == 0
    with Store.open(store_path) as store:
        states = {record.id: (record.state, record.reason) for record in store.advice()}
    assert states == {"ix1": ("rejected", "too big"), "ba1": ("snoozed", ""), "ix2": ("accepted", "")}
    only = json.loads(pgcoach("advice", "--state", "accepted", "--json", "--store", store_path)[1])
    assert [each["id"] for each in only] == ["ix2"]


def test_an_id_that_is_none_or_many_is_usage(pgcoach: Pgcoach, store_path: Path) -> None:
    assert "no advice with id 'zz'" in pgcoach("advice", "accept", "zz", "--store", store_path)[2]
    code, _, err = pgcoach("advice", "accept", "ix", "--store", store_path)
    assert code == 2
    assert "ix1, ix2" in err


def test_export_prints_the_paths_and_marks(pgcoach: Pgcoach, store_path: Path, tmp_path: Path) -> None:
    out_dir = tmp_path / "out"
    _, dry, _ = pgcoach("export", "ix1", "--dry-run", "-o", out_dir, "--store", store_path)
    assert "CREATE INDEX CONCURRENTLY" in dry
    assert not out_dir.exists()

    pgcoach("advice", "accept", "ix1", "--store", store_path)
    code, out, _ = pgcoach("export", "--format", "psql", "-o", out_dir, "--store", store_path)
    paths = out.splitlines()
    assert code == 0
    assert paths
    assert all(Path(path).is_file() for path in paths)
    with Store.open(store_path) as store:
        record = store.advice_record("ix1")
    assert record is not None
    assert record.state == "exported"
    code, out, err = pgcoach("export", "ix1", "-o", out_dir, "--store", store_path)
    assert (code, out) == (0, "")
    assert "already" in err


def test_export_without_an_alembic_project_is_usage(
    pgcoach: Pgcoach, store_path: Path, tmp_path: Path
) -> None:
    code, _, err = pgcoach(
        "export", "ix1", "--format", "alembic", "-o", tmp_path / "x", "--store", store_path
    )
    assert code == 2
    assert "no Alembic project" in err


def test_the_application_needs_a_terminal(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, err = pgcoach("tui", "--store", store_path)
    assert (code, out) == (2, "")
    assert "pgcoach queries" in err


def test_advise_without_a_reachable_target(pgcoach: Pgcoach, store_path: Path, tmp_path: Path) -> None:
    code, out, err = pgcoach(
        "advise", "--target", f"postgresql://x@/shop?host={tmp_path}", "--store", store_path
    )
    assert (code, out) == (3, "")
    assert "Traceback" not in err


def test_json_has_all_queries_and_the_table_the_first(pgcoach: Pgcoach, tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    with Store.open(path) as store:
        ids = store.define_queries(
            [NewQuery("shop", f"{n:016x}", f"SELECT {n}", "select", (), False, 1.0) for n in range(120)]
        )
        batch = Batch(at=1_800_000_000.0)
        for id in ids:
            batch.add(Increment(id, batch.at, calls=1))
        store.write(batch)
    assert len(json.loads(pgcoach("queries", "--json", "--store", path)[1])) == 120
    assert pgcoach("queries", "--store", path)[1].count("SELECT") == 50
