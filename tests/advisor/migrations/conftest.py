"""Advice to export."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from advisor.model import Advice, BatchCandidate, IndexCandidate, IndexKey, Proof

MakeIndexAdvice = Callable[..., Advice]

_PROOF = Proof(
    method="build",
    server_version="16.14",
    made_at=0.0,
    summary="cost 4,310 to 8.4,\n\\! echo a line end in what was said",
    limits=("one machine",),
)


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def index_advice() -> MakeIndexAdvice:
    def make(
        table: str = "orders",
        keys: tuple[IndexKey, ...] = (
            IndexKey(column="status"),
            IndexKey(column="created_at", descending=True),
        ),
        *,
        id: str = "7f3ac0ffee00aa11",
        schema: str = "public",
        include: tuple[str, ...] = (),
        name: str = "",
    ) -> Advice:
        candidate = IndexCandidate(schema=schema, table=table, keys=keys, include=include, name=name)
        return Advice(id=id, title=f"Index {table}", database="shop", candidate=candidate, proof=_PROOF)

    return make


@pytest.fixture
def batch_advice() -> Advice:
    candidate = BatchCandidate(
        finding_id="f1",
        original="SELECT id FROM orders WHERE customer_id = $1",
        batched="SELECT customer_id, id\nFROM orders\nWHERE customer_id = ANY(CAST($1 AS bigint[]))",
        shape="any",
        key_column="customer_id",
        orm="sqlalchemy",
        orm_fix="select(Customer).options(selectinload(Customer.orders))",
        notes=("Leave NULL keys out.",),
    )
    return Advice(
        id="ba7c400000000001", title="Read orders once", database="shop", candidate=candidate, proof=_PROOF
    )


@pytest.fixture
def squawk() -> Callable[..., str]:
    """Lints files with squawk: empty where it has nothing to say, else what it says."""
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    assert program, "squawk comes with pip install '.[test]'"

    def lint(*paths: Path) -> str:
        done = subprocess.run(
            [program, "--reporter", "gcc", *map(str, paths)], capture_output=True, text=True, check=False
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    return lint
