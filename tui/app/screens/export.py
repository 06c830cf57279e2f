"""Export: the accepted advice, the files that it becomes, and one key to write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.message import Message

from advisor.migrations.export import detect_runner
from advisor.migrations.model import ExportResult, Runner
from tui.advice_view import UnreadableAdviceError
from tui.app.reading import NotThereError
from tui.app.screens.base import StoreScreen
from tui.app.screens.prompt import Prompt
from tui.app.status import Status
from tui.app.widgets.panel import Panel
from tui.app.widgets.table import Column, ListTable
from tui.exporting import RUNNERS, ExportError, plan_export, write_export
from tui.format import counted, duration, one_line, printable
from tui.location import display
from workload.model import AdviceRecord
from workload.store import StoreError

COLUMNS = (Column("kind", "kind", 6), Column("saves", "saves", 7, numeric=True), Column("title", "what", 0))
NOTHING_ACCEPTED = (
    "Nothing is accepted yet. Go to the advice (4), read it (enter) and accept what convinces you (a); "
    "it then waits here to be written as a migration."
)


@dataclass(frozen=True, slots=True)
class Basket:
    status: Status
    records: tuple[AdviceRecord, ...]
    runner: Runner
    plan: ExportResult | None
    """What would be written; None where nothing is accepted or something is in the way."""
    problem: str
    """What is in the way."""


class ExportScreen(StoreScreen[Basket]):
    MODE = "export"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "format", "Format", id="export.format"),
        Binding("o", "folder", "Folder…", id="export.folder"),
        Binding("w", "write", "Write", id="export.write"),
    ]

    @dataclass
    class Written(Message):
        """The files are there."""

        result: ExportResult

    def __init__(self) -> None:
        super().__init__()
        self.runner: Runner | None = None
        """What the person chose; None looks what the folder holds."""
        self.folder = Path("migrations")

    def body(self) -> ComposeResult:
        yield Panel("Export", id="export-empty")
        with Container(id="export"):
            with Container(id="export-side"):
                yield Panel("Settings", id="export-settings")
                yield ListTable(id="basket")
            with VerticalScroll(id="preview-scroll"):
                yield Panel("Preview", id="preview")

    def on_mount(self) -> None:
        table = self.query_one(ListTable)
        table.set_columns(COLUMNS)

    def load(self) -> Basket:
        listed = self.reader.advice()
        records = tuple(record for record in listed.records if record.state == "accepted")
        runner = self.runner or detect_runner(self.folder)
        plan, problem = None, ""
        if records:
            try:
                plan = plan_export(records, runner, self.folder, self.now)
            except (ExportError, UnreadableAdviceError) as error:
                problem = str(error)
        return Basket(listed.status, records, runner, plan, problem)

    def show(self, data: Basket) -> None:
        empty = self.query_one("#export-empty", Panel)
        empty.set_text(NOTHING_ACCEPTED)
        empty.display = not data.records
        self.query_one("#export").display = bool(data.records)
        self.query_one("#export-settings", Panel).set_lines(
            [
                "format  " + "  ".join(f"[{name}]" if name == data.runner else name for name in RUNNERS),
                f"folder  {display(str(self.folder.absolute()))}",
                file_count(data.plan),
            ]
        )
        table = self.query_one(ListTable)
        table.border_title = f"{len(data.records)} accepted"
        table.sync(
            [
                (record.id, [record.kind, duration(record.benefit_ms), one_line(record.title)])
                for record in data.records
            ]
        )
        self.query_one("#preview", Panel).set_lines(preview_lines(data))

    def action_format(self) -> None:
        if self.data is not None:
            self.runner = RUNNERS[(RUNNERS.index(self.data.runner) + 1) % len(RUNNERS)]
            self.action_reload()

    def action_folder(self) -> None:
        def answered(folder: str | None) -> None:
            if folder:
                self.folder = Path(folder).expanduser()
                self.action_reload()

        self.app.push_screen(
            Prompt(
                "Folder for the files", "made when it is not there", value=str(self.folder), required=True
            ),
            answered,
        )

    def action_write(self) -> None:
        if self.data is not None and self.data.plan is not None:
            self._write(self.data)

    @work(thread=True, group="write", exclusive=True)
    def _write(self, basket: Basket) -> None:
        try:
            store = self.reader.required()
            result = write_export(store, basket.records, basket.runner, self.folder, self.now)
        except (ExportError, UnreadableAdviceError, StoreError, NotThereError, OSError) as error:
            self.post_message(self.Refused(f"not exported: {error}"))
        else:
            self.post_message(self.Written(result))

    @on(Written)
    def _show_written(self, message: Written) -> None:
        message.stop()
        where = display(str(self.folder.absolute()))
        self.notify(
            f"{counted(len(message.result.written), 'file')} written to {where}.",
            title="Exported",
            timeout=10,
            markup=False,
        )
        self.action_reload()


def file_count(plan: ExportResult | None) -> str:
    """How much `w` would write."""
    if plan is None:
        return "files   none, see below"
    number = sum(len(migration.files) for migration in plan.migrations)
    if number:
        return f"files   {number}, w writes {'it' if number == 1 else 'them'}"
    return "files   none to write, w marks what is there"


def preview_lines(basket: Basket) -> list[str]:
    """Every file under its name, then what is left for a person to do; or what is in the way."""
    if basket.plan is None:
        return [f"⚠ {basket.problem}"] if basket.problem else []
    lines: list[str] = []
    for migration in basket.plan.migrations:
        for file in migration.files:
            lines += [f"── {one_line(file.path)} ──", *printable(file.text).rstrip("\n").splitlines(), ""]
    lines += [f"{advice_id} is in {path} already" for advice_id, path in basket.plan.already]
    lines += dict.fromkeys(note for migration in basket.plan.migrations for note in migration.notes)
    return lines
