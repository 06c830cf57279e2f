"""``pgcoach advice``: list it, read it, decide on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from advisor.model import AdviceState
from tui.cli.options import Json, Store, existing_store

if TYPE_CHECKING:
    from workload.model import AdviceRecord

advice = App(name="advice", help="List, read, accept, reject or snooze advice.")

Id = Annotated[str, Parameter(help="The advice's id, or the beginning of it.")]
Reason = Annotated[str, Parameter(help="Why; kept with the decision.")]


@advice.default
def list_(
    *,
    store: Store = None,
    json: Json = False,
    state: Annotated[
        list[AdviceState] | None,
        Parameter(help="Only what is in this state; may be given several times.", negative=""),
    ] = None,
) -> None:
    """All advice, the most valuable first."""
    from tui.cli.errors import notice
    from tui.cli.output import write_json
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        found = opened.advice(states=tuple(state) if state else None)
    if json:
        write_json([document(record) for record in found])
    elif state and not found:
        notice(f"no advice is {' or '.join(state)}: `pgcoach advice` lists all of it")
    else:
        print_table(found)


@advice.command
def show(id_: Id, /, *, store: Store = None, json: Json = False) -> None:
    """One piece of advice: what, why, how it was proved, and what it would cost."""
    from tui.cli.output import write_json
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        record = find(opened.advice(states=None), id_)
    if json:
        write_json([document(record)])
        return
    import sys

    from tui.advice_view import advice_view, plain_text

    sys.stdout.write(plain_text(advice_view(record)))


@advice.command
def accept(id_: Id, /, *, reason: Reason = "", store: Store = None) -> None:
    """Take advice into the next export."""
    decide(id_, "accepted", reason, store)


@advice.command
def reject(id_: Id, /, *, reason: Reason = "", store: Store = None) -> None:
    """Decline advice; it is not proposed again."""
    decide(id_, "rejected", reason, store)


@advice.command
def snooze(id_: Id, /, *, reason: Reason = "", store: Store = None) -> None:
    """Put advice aside without deciding."""
    decide(id_, "snoozed", reason, store)


def decide(id_: str, state: str, reason: str, store: str | None) -> None:
    """Writes the decision. Raises CommandError for an unknown or ambiguous id."""
    from tui.cli.errors import notice
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        record = find(opened.advice(states=None), id_)
        opened.set_advice_state(record.id, state, reason)
    notice(f"{state}: {record.title}")


def find(records: list[AdviceRecord], id_: str) -> AdviceRecord:
    """The one record whose id is, or begins with, what was given.

    Raises CommandError when there is none or more than one.
    """
    from tui.cli.errors import CommandError

    if not id_:
        raise CommandError("the id of the advice is empty: see `pgcoach advice`")
    exact = [record for record in records if record.id == id_]
    found = exact or [record for record in records if record.id.startswith(id_)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(f"no advice with id {id_!r}: see `pgcoach advice`")
    ids = ", ".join(record.id for record in found)
    raise CommandError(f"{id_!r} is the beginning of several ids ({ids}): give more of it")


def document(record: AdviceRecord) -> dict[str, Any]:
    """One piece of advice as JSON: the record, with the advisor's own document under ``advice``."""
    import msgspec

    from tui.format import timestamp

    fields = msgspec.structs.asdict(record)
    fields["created_at"] = timestamp(record.created_at)
    fields["updated_at"] = timestamp(record.updated_at)
    fields["advice"] = msgspec.json.decode(fields.pop("document"))
    return fields


def print_table(found: list[AdviceRecord]) -> None:
    """A line a piece of advice; says so on stderr where there is none."""
    from tui.cli import output
    from tui.cli.errors import notice
    from tui.format import duration, one_line

    if not found:
        notice("no advice yet: run `pgcoach advise` after some traffic went through the proxy")
        return
    columns = (
        output.Column("id"),
        output.Column("kind"),
        output.Column("state"),
        output.Column("saves", numeric=True),
        output.Column("database", goes=1),
        output.Column("title"),
    )
    rows = [
        (
            record.id,
            record.kind,
            record.state,
            duration(record.benefit_ms),
            one_line(record.database),
            one_line(record.title),
        )
        for record in found
    ]
    output.print_table(columns, rows)
