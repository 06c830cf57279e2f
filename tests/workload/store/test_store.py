"""The store as its users meet it: permissions, versions, broken files, statistics, findings, advice."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from workload.capture.histogram import Histogram
from workload.model import AdviceRecord, Column, Finding, Sample
from workload.store import Store, StoreBusyError, StoreError
from workload.store.schema import APPLICATION_ID, SAMPLES_PER_QUERY
from workload.store.writing import Batch, Increment, NewQuery

T0 = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.db") as opened:
        yield opened


def new_query(fingerprint: str, database: str = "shop", text: str = "SELECT 1", at: float = T0) -> NewQuery:
    return NewQuery(database, fingerprint, text, "select", ("orders",), False, at)


def increment(query_id: int, at: float = T0, *us: float, **more: object) -> Increment:
    histogram = Histogram()
    for duration in us:
        histogram.add(duration)
    made = Increment(
        query_id,
        at,
        calls=len(us),
        timed_calls=len(us),
        total_us=round(sum(us)),
        max_us=round(max(us, default=0)),
        histogram=histogram.counts,
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def write(store: Store, *increments: Increment, at: float = T0) -> None:
    batch = Batch(at=at)
    for item in increments:
        batch.add(item)
    store.write(batch)


def a_finding(**changes: object) -> Finding:
    finding = Finding(
        id="f1",
        cls="n_plus_one_read",
        confidence="medium",
        title="orders read once per customer",
        database="shop",
        query_id=1,
        fingerprint="aa",
        parent_query_id=None,
        parent_fingerprint=None,
        child=Column(table="orders", column="customer_id"),
        parent=Column(),
        first_seen=T0,
        last_seen=T0,
        units=1,
        calls=10,
        wasted_ms=5.0,
        evidence={"distinct": 10},
        sample_calls=(("1",), ("2",)),
        sample_oids=(23,),
    )
    return msgspec.structs.replace(finding, **changes)


def some_advice(**changes: object) -> AdviceRecord:
    record = AdviceRecord(
        id="a1",
        kind="index",
        state="new",
        title="Index orders(customer_id)",
        database="shop",
        benefit_ms=100.0,
        created_at=T0,
        updated_at=T0,
        reason="",
        document=b"{}",
    )
    return msgspec.structs.replace(record, **changes)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_private_from_the_start(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store.open(tmp_path / "deep" / "s.db") as store:
            store.set_meta("a", "b")
            files = sorted(tmp_path.glob("deep/s.db*"))
            assert [path.name for path in files] == ["s.db", "s.db-shm", "s.db-wal"]
            assert {mode(path) for path in files} == {0o600}
            assert mode(tmp_path / "deep") == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["a b.db", "a?b#c.db", "100%s.db", "ä'\".db", "file:x.db"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    with Store.open(tmp_path / name) as store:
        store.set_meta("a", "b")
    with Store.open(str(tmp_path / name), create=False) as store:
        assert store.meta("a") == "b"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_open_mode_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    path.chmod(0o644)
    Store.open(path).close()
    assert mode(path) == 0o600


def test_settings_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert raw.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    raw.close()


def test_opening_a_current_store_imports_no_alembic(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    code = (
        "import sys; from workload.store import Store; "
        f"Store.open({str(path)!r}).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_missing_store_is_not_made_for_readers(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pgcoach up"):
        Store.open(tmp_path / "s.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="made by a newer pgcoach"):
        Store.open(path)


@pytest.mark.parametrize("content", [b"this is no database at all, but long enough" * 100, b"x" * 20])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a pgcoach store"):
        Store.open(path)
    assert path.read_bytes() == content


def test_a_database_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE t(a)")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="something else"):
        Store.open(path)


def test_a_directory_and_a_url_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a file"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="postgresql:// is not supported"):
        Store.open("postgresql://host/db")


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(tmp_path / "file" / "s.db")


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path) as store:
        ids = store.define_queries([new_query(f"{n:016x}", text="x" * 3000) for n in range(50)])
        write(store, *(increment(id, T0, 5.0) for id in ids))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged|failed"), Store.open(path) as store:
        store.queries()


def test_queries_are_defined_once(store: Store) -> None:
    first = store.define_queries([new_query("aa"), new_query("bb"), new_query("aa", database="other")])
    assert len(set(first)) == 3
    assert store.define_queries([new_query("bb"), new_query("aa")]) == [first[1], first[0]]
    assert store.define_queries([]) == []


def test_counters_and_percentiles_add_up(store: Store) -> None:
    (id,) = store.define_queries([new_query("aa")])
    write(store, increment(id, T0, *[1000.0] * 90, rows=90, bytes=900, applications={"web"}))
    write(store, increment(id, T0 + 1, *[50_000.0] * 10, rows=10, errors=2, sqlstates={"23505": 2}))
    write(store, increment(id, T0 + 2, applications={"cron"}, errors=1, sqlstates={"57014": 1}))
    (query,) = store.queries()
    assert (query.calls, query.errors, query.rows, query.bytes, query.timed_calls) == (100, 3, 100, 900, 100)
    assert query.total_ms == pytest.approx(590)
    assert query.mean_ms == pytest.approx(5.9)
    assert query.p50_ms == pytest.approx(1, rel=0.01)
    assert query.p99_ms == pytest.approx(50, rel=0.01)
    assert query.max_ms == 50
    assert query.applications == ("cron", "web")
    assert query.tables == ("orders",)
    assert (query.first_seen, query.last_seen) == (T0, T0 + 2)
    assert store.errors(id) == {"23505": 2, "57014": 1}
    assert store.query(id) == query
    assert store.query(99) is None
    assert store.last_write() == T0


def test_batches_merge_before_they_are_written(store: Store) -> None:
    (id,) = store.define_queries([new_query("aa")])
    batch = Batch(at=T0)
    batch.add(increment(id, T0, 10.0))
    batch.add(increment(id, T0 + 1, 30.0, 10.0))
    assert len(batch.increments) == 1
    store.write(batch)
    (query,) = store.queries()
    assert (query.calls, query.total_ms, query.max_ms) == (3, 0.05, 0.03)


def test_orders_filters_and_limits(store: Store) -> None:
    ids = store.define_queries(
        [
            new_query("aa", text="SELECT a FROM orders"),
            new_query("bb", text="SELECT 100% FROM items"),
            new_query("cc", database="other", text="SELECT c FROM Orders"),
        ]
    )
    write(
        store,
        increment(ids[0], T0, *[10.0] * 10),
        increment(ids[1], T0, 5000.0),
        increment(ids[2], T0, 70.0, 70.0, 70.0),
    )
    assert [query.id for query in store.queries()] == [ids[1], ids[2], ids[0]]
    assert [query.id for query in store.queries(order="calls")] == [ids[0], ids[2], ids[1]]
    assert [query.id for query in store.queries(order="p95_ms", limit=2)] == [ids[1], ids[2]]
    assert [query.id for query in store.queries(order="mean_ms", limit=1)] == [ids[1]]
    assert [query.id for query in store.queries(database="shop")] == [ids[1], ids[0]]
    assert {query.id for query in store.queries(search="orders")} == {ids[0], ids[2]}
    assert [query.id for query in store.queries(search="0%")] == [ids[1]]
    assert [query.id for query in store.queries(search="CC")] == [ids[2]]
    with pytest.raises(StoreError, match="no order"):
        store.queries(order="random")


def test_a_span_of_time(store: Store) -> None:
    first, second = store.define_queries([new_query("aa"), new_query("bb")])
    for minute in range(60):
        write(store, increment(first, T0 + 60 * minute, 100.0))
    write(store, increment(second, T0, 100.0))
    assert [query.calls for query in store.queries(since=T0 + 60, until=T0 + 1800)] == [29]
    assert [query.calls for query in store.queries(since=T0 + 1800)] == [30]
    assert {query.id: query.calls for query in store.queries(until=T0 + 10)} == {first: 1, second: 1}
    assert store.query(second, since=T0 + 10) is None
    assert store.histogram(first, T0, T0 + 600).total == 10
    assert store.histogram(None, None, None).total == 61


def test_series(store: Store) -> None:
    first, second = store.define_queries([new_query("aa"), new_query("bb")])
    write(store, increment(first, T0, 1000.0), increment(second, T0 + 3, 3000.0, errors=1))
    write(store, increment(first, T0 + 20, 500.0))
    points = store.series(None, T0, T0 + 60)
    assert [(p.start, p.seconds, p.calls, p.errors, p.total_ms) for p in points] == [
        (T0, 10, 2, 1, 4.0),
        (T0 + 20, 10, 1, 0, 0.5),
    ]
    assert points[0].p95_ms == pytest.approx(3, rel=0.01)
    assert [p.calls for p in store.series(second, T0, T0 + 60)] == [1]
    assert [(p.seconds, p.calls) for p in store.series(first, T0 - 86_400, T0 + 60)] == [(300, 2)]


def test_pruning_keeps_totals_and_coarse_buckets(store: Store) -> None:
    (id,) = store.define_queries([new_query("aa")])
    write(store, increment(id, T0, 100.0), increment(id, T0 + 400, 100.0))
    later = T0 + 86_400
    write(store, increment(id, later, 100.0), at=later)
    assert store.prune(later) > 0
    assert store.query(id) is not None
    assert [query.calls for query in store.queries()] == [3]
    assert [query.calls for query in store.queries(since=T0, until=later)] == [2]
    # Fine buckets are gone there: the span is rounded outwards.
    assert [query.calls for query in store.queries(since=T0 + 10, until=T0 + 20)] == [1]
    store.prune(later + 90 * 86_400)
    assert store.queries(since=T0, until=later) == []
    assert [query.calls for query in store.queries()] == [3]


def test_samples_are_bounded_and_newest_first(store: Store) -> None:
    (id, other) = store.define_queries([new_query("aa"), new_query("bb")])
    for number in range(SAMPLES_PER_QUERY + 5):
        sample = Sample(
            query_id=id,
            params=(str(number), None),
            param_oids=(23, 0),
            duration_ms=1.5 if number % 2 else None,
            rows=number,
            taken_at=T0 + number,
            masked=False,
        )
        store.write(Batch(at=T0, samples=[sample]))
    kept = store.samples(id, limit=1000)
    assert [sample.rows for sample in kept] == list(range(SAMPLES_PER_QUERY + 4, 4, -1))
    assert kept[0].params == ("24", None)
    assert {sample.duration_ms for sample in kept} == {1.5, None}
    assert len(store.samples(id, limit=3)) == 3
    assert store.samples(other) == []


def test_findings_add_up(store: Store) -> None:
    store.merge_finding(a_finding())
    store.merge_finding(
        a_finding(
            confidence="high",
            parent=Column(table="customers"),
            last_seen=T0 + 9,
            units=2,
            calls=30,
            wasted_ms=7.5,
            evidence={"distinct": 30},
            sample_calls=(),
            sample_oids=(),
        )
    )
    store.merge_finding(a_finding(confidence="low", last_seen=T0 - 5, first_seen=T0 - 5))
    merged = store.finding("f1")
    assert merged is not None
    assert (merged.units, merged.calls, merged.wasted_ms) == (4, 50, 17.5)
    assert (merged.first_seen, merged.last_seen) == (T0 - 5, T0 + 9)
    assert (merged.confidence, merged.parent.table, merged.evidence) == (
        "high",
        "customers",
        {"distinct": 30},
    )
    assert (merged.sample_calls, merged.sample_oids) == ((("1",), ("2",)), (23,))
    store.merge_finding(a_finding(id="f2", database="other", wasted_ms=99.0))
    assert [finding.id for finding in store.findings()] == ["f2", "f1"]
    assert [finding.id for finding in store.findings("shop")] == ["f1"]
    assert store.finding("f3") is None


def test_advice_keeps_what_a_person_decided(store: Store) -> None:
    store.save_advice(some_advice())
    store.save_advice(some_advice(title="renewed", created_at=T0 + 5, updated_at=T0 + 5))
    saved = store.advice_record("a1")
    assert saved is not None
    assert (saved.title, saved.created_at, saved.updated_at) == ("renewed", T0, T0 + 5)
    assert store.set_advice_state("a1", "rejected", "we drop that table").state == "rejected"
    store.save_advice(some_advice(document=b'{"a": 1}', benefit_ms=7.0))
    saved = store.advice_record("a1")
    assert saved is not None
    assert (saved.state, saved.reason, saved.document, saved.benefit_ms) == (
        "rejected",
        "we drop that table",
        b'{"a": 1}',
        7.0,
    )
    history = store.advice_history("a1")
    assert [(change.state, change.reason) for change in history] == [
        ("new", ""),
        ("rejected", "we drop that table"),
    ]


def test_advice_lists(store: Store) -> None:
    store.save_advice(some_advice())
    store.save_advice(some_advice(id="a2", benefit_ms=500.0, state="accepted"))
    assert [record.id for record in store.advice()] == ["a2", "a1"]
    assert [record.id for record in store.advice(["new"])] == ["a1"]
    assert store.advice([]) == []
    assert store.advice_record("a3") is None
    with pytest.raises(StoreError, match="no advice"):
        store.set_advice_state("a3", "accepted")
    with pytest.raises(StoreError, match="no state"):
        store.set_advice_state("a1", "maybe")
    assert store.advice_history("a3") == []


def test_rejections_are_replaced_by_database(store: Store) -> None:
    store.replace_rejections("shop", [("index a", "covered"), ("index b", "small")])
    store.replace_rejections("other", [("index c", "no change")])
    store.replace_rejections("shop", [("index b", "small")])
    assert sorted(store.rejections()) == [("other", "index c", "no change"), ("shop", "index b", "small")]
    store.replace_rejections("shop", [])
    assert store.rejections() == [("other", "index c", "no change")]


def test_counters_gauges_and_meta(store: Store) -> None:
    store.write(Batch(at=T0, counters={"lost.deltas": 2, "sessions": 0}, gauges={"sessions": 5.0}))
    store.write(Batch(at=T0 + 1, counters={"lost.deltas": 3}, gauges={"sessions": 4.0}))
    assert store.counters() == {"lost.deltas": 5}
    assert store.gauges() == {"sessions": 4.0}
    assert store.meta("nothing") is None
    store.set_meta("upstream", "a")
    store.set_meta("upstream", "b")
    assert store.meta("upstream") == "b"
    assert store.last_write() == T0 + 1


def test_a_failed_batch_leaves_nothing(store: Store) -> None:
    (id,) = store.define_queries([new_query("aa")])
    batch = Batch(at=T0, counters={"a": 1})
    batch.add(increment(id, T0, 5.0))
    batch.samples.append(
        Sample(query_id=12345, params=(), param_oids=(), duration_ms=None, rows=0, taken_at=T0, masked=False)
    )
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.write(batch)
    assert store.queries() == []
    assert store.counters() == {}


def test_a_full_disk_is_busy_and_nothing_is_lost(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.db") as store:
        (id,) = store.define_queries([new_query("aa")])
        write(store, increment(id, T0, 5.0))
        with store._database._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreBusyError, match="disk is full"):
            store.define_queries([new_query(f"{n:x}", text="y" * 4000) for n in range(50)])
        assert [query.calls for query in store.queries()] == [1]
        with store._database._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
        assert len(store.define_queries([new_query("bb")])) == 1


def test_readers_work_while_a_write_is_open(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path) as writer, Store.open(path, create=False) as reader:
        (id,) = writer.define_queries([new_query("aa")])
        write(writer, increment(id, T0, 5.0))
        with writer._database.write():
            assert [query.calls for query in reader.queries()] == [1]


_WRITER = """
import sys
from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery
path, name = sys.argv[1:]
with Store.open(path) as store:
    for number in range(40):
        ids = store.define_queries([NewQuery("shop", "same", "SELECT 1", "select", (), False, 1.8e9)])
        batch = Batch(at=1.8e9, counters={name: 1, "both": 1})
        batch.add(Increment(ids[0], 1.8e9, calls=1, timed_calls=1, total_us=10, max_us=10,
                            histogram={116: 1}))
        store.write(batch)
"""


def test_two_processes_open_and_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Store.open(path, create=False) as store:
        assert store.counters() == {"one": 40, "two": 40, "both": 80}
        (query,) = store.queries()
        assert query.calls == 80
        assert store.histogram(query.id).counts == {116: 80}
