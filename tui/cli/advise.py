"""``pgcoach advise``: proposes, proves, and files what survives in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tui.cli.options import AT_LEAST_ONE, Json, Store, Target, existing_store

if TYPE_CHECKING:
    from advisor.advise import AdviseReport
    from workload.model import AdviceRecord


def advise(
    *,
    store: Store = None,
    target: Target = None,
    what_if: Annotated[
        Literal["auto", "hypopg", "build"],
        Parameter(
            help="How indexes are tried: with HypoPG, or by building them in a transaction that is rolled "
            "back (this locks tables: only with --own-server)."
        ),
    ] = "auto",
    own_server: Annotated[
        bool,
        Parameter(negative="", help="Nobody else uses the target: pgcoach may build and roll back indexes."),
    ] = False,
    limit: Annotated[
        int,
        Parameter(help="Queries looked at, those with the most total time first.", validator=AT_LEAST_ONE),
    ] = 50,
    why_not: Annotated[
        bool, Parameter(negative="", help="Also say what was considered and dropped, and why.")
    ] = False,
    json: Json = False,
) -> None:
    """Look for indexes and batched statements, and prove them on the target. Nothing is changed there."""
    import asyncio
    import os

    from advisor.advise import advise as run
    from tui.cli.errors import notice
    from tui.target import resolve_target
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        dsn = resolve_target(target, os.environ, opened)
        report = asyncio.run(
            run(opened, dsn, what_if=what_if, own_server=own_server, limit=limit, progress=notice)
        )
        records = {record.id: record for record in opened.advice()}
    _print(report, [records[each.id] for each in report.advice if each.id in records], json, why_not)


def _print(report: AdviseReport, records: list[AdviceRecord], json: bool, why_not: bool) -> None:
    from tui.cli.advice import document, print_table
    from tui.cli.errors import notice
    from tui.cli.output import write_json
    from tui.format import counted

    for note in report.notes:
        notice(f"note: {note}")
    if why_not:
        for rejection in report.rejections:
            notice(f"not advised: {rejection.what}: {rejection.reason}")
    elif report.rejections:
        was = "was" if len(report.rejections) == 1 else "were"
        notice(f"{counted(len(report.rejections), 'candidate')} {was} dropped; --why-not says why")
    if json:
        write_json([document(record) for record in records])
    elif records:
        print_table(records)
    else:
        notice("nothing was proved to help")
