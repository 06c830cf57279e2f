"""A small model of PostgreSQL that answers requests, and knows what the server's statistics would count.

With it come whole conversations as bytes: valid transcripts to hold the observer against, cut or mutated.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    CloseComplete,
    ClosePortal,
    CloseStatement,
    Complete,
    CopyData,
    CopyDone,
    CopyFail,
    CopyIn,
    CopyOut,
    DataRow,
    DescribePortal,
    DescribeStatement,
    EmptyQuery,
    Error,
    Execute,
    Flush,
    NoData,
    ParameterDescription,
    Parse,
    ParseComplete,
    Query,
    RowDescription,
    Sent,
    Suspended,
    Sync,
    Z,
    client,
    server,
)

Group: TypeAlias = list[tuple[str, ...]]
"""Requests that belong together: the kind and its arguments."""


@dataclass
class ModelPortal:
    text: str
    position: int = 0
    started: bool = False
    done: bool = False


@dataclass
class Model:
    """Texts: ``r<n>`` returns n rows, ``u<n>`` changes n, ``bad`` does not parse, ``div`` fails when run."""

    status: str = "I"
    skipping: bool = False
    failed: bool = False
    copying: str = ""
    statements: dict[str, str] = field(default_factory=dict)
    portals: dict[str, ModelPortal] = field(default_factory=dict)
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    errors: int = 0
    implicit: bool = False

    def answer(self, op: tuple[str, ...]) -> bytes:
        kind, *args = op
        if self.copying:
            return self.copy(kind)
        if kind in "dcfH":
            return b""
        if kind == "S":
            self.skipping = False
            return self.end_window()
        if self.skipping:
            return b""
        if kind == "Q":
            return self.query(args)
        result: bytes = getattr(self, "do_" + kind)(*args)
        return result

    def error(self, code: str, extended: bool = True) -> bytes:
        self.errors += 1
        self.skipping = extended
        self.failed = True
        self.portals.clear()
        if self.status == "T":
            self.status = "E"
        return Error(code)

    def end_window(self) -> bytes:
        self.failed = False
        if self.status == "I":
            for name in list(self.portals):
                self.close(name)
        return Z(self.status)

    def close(self, name: str) -> None:
        portal = self.portals.pop(name, None)
        if portal is not None and portal.started and not portal.done:
            self.calls[portal.text, portal.position] += 1

    def refused(self, text: str) -> str:
        if text == "bad":
            return "42601"
        if self.status == "E" and text not in ("commit", "rollback"):
            return "25P02"
        return ""

    def do_P(self, name: str, text: str) -> bytes:
        if not name:
            self.statements.pop("", None)
        code = self.refused(text)
        if code or (name and name in self.statements):
            return self.error(code or "42P05")
        self.statements[name] = text
        return ParseComplete

    def do_B(self, portal: str, name: str) -> bytes:
        text = self.statements.get(name)
        if text is None:
            return self.error("26000")
        if self.refused(text):
            return self.error("25P02")
        if portal and portal in self.portals:
            return self.error("42P03")
        self.close(portal)
        self.portals[portal] = ModelPortal(text)
        return BindComplete

    def describe(self, text: str) -> bytes:
        return RowDescription("a") if text.startswith(("r", "div")) and text != "rollback" else NoData

    def do_DS(self, name: str) -> bytes:
        if name not in self.statements:
            return self.error("26000")
        return ParameterDescription(23) + self.describe(self.statements[name])

    def do_DP(self, name: str) -> bytes:
        return self.describe(self.portals[name].text) if name in self.portals else self.error("34000")

    def do_CS(self, name: str) -> bytes:
        self.statements.pop(name, None)
        return CloseComplete

    def do_CP(self, name: str) -> bytes:
        self.close(name)
        return CloseComplete

    def do_E(self, name: str, limit: str) -> bytes:
        portal = self.portals.get(name)
        if portal is None:
            return self.error("34000")
        if portal.done:
            return Complete("SELECT 0") if portal.text.startswith("r") else self.error("55000")
        portal.started = True
        if portal.text.startswith("r") and portal.text != "rollback":
            total = int(portal.text[1:])
            fetched = total - portal.position
            if int(limit) and fetched >= int(limit):
                portal.position += int(limit)
                return DataRow("v") * int(limit) + Suspended
            portal.position = total
            portal.done = True
            self.calls[portal.text, total] += 1
            return DataRow("v") * fetched + Complete(f"SELECT {fetched}")
        portal.done = True
        return self.run(portal.text, extended=True)

    def run(self, text: str, extended: bool) -> bytes:
        """One statement that is not a cursor's fetch."""
        if text == "div":
            return DataRow("1") + self.error("22012", extended)
        if text == "":
            return EmptyQuery
        if text == "cin":
            self.copying = "extended" if extended else "simple"
            return CopyIn
        if text == "cout":
            self.calls[text, 2] += 1
            return CopyOut + CopyData("a") * 2 + CopyDone + Complete("COPY 2")
        if text in ("begin", "commit", "rollback"):
            tag = "ROLLBACK" if text == "commit" and self.status == "E" else text.upper()
            self.status = "T" if text == "begin" else "I"
            self.calls[text, 0] += 1
            if text == "rollback" or tag == "ROLLBACK":
                self.portals.clear()
            return Complete(tag)
        rows = int(text[1:])
        self.calls[text, rows] += 1
        if text.startswith("u"):
            return Complete(f"UPDATE {rows}")
        return RowDescription("a") + DataRow("v") * rows + Complete(f"SELECT {rows}")

    def query(self, texts: list[str]) -> bytes:
        self.statements.pop("", None)
        if "bad" in texts:
            return self.error("42601", extended=False) + self.end_window()
        out = b""
        for text in texts:
            if self.refused(text):
                out += self.error("25P02", extended=False)
                break
            self.close("")
            out += self.run(text, extended=False)
            if self.failed or self.copying:
                break
        return out if self.copying else out + self.end_window()

    def copy(self, kind: str) -> bytes:
        mode = self.copying
        if kind in ("d", "H", "S"):
            return b""
        self.copying = ""
        if kind == "c":
            self.calls["cin", 1] += 1
            out = Complete("COPY 1")
        else:
            out = self.error("57014", extended=mode == "extended")
        return out if mode == "extended" else out + self.end_window()


def encode(op: tuple[str, ...]) -> bytes:
    kind, *args = op
    match kind:
        case "Q":
            return Query(";".join(args))
        case "P":
            return Parse(args[1], args[0])
        case "B":
            return Bind(args[1], "value", portal=args[0])
        case "DS":
            return DescribeStatement(args[0])
        case "DP":
            return DescribePortal(args[0])
        case "CS":
            return CloseStatement(args[0])
        case "CP":
            return ClosePortal(args[0])
        case "E":
            return Execute(args[0], int(args[1]))
        case "d":
            return CopyData("1\n")
        case "f":
            return CopyFail()
    return {"S": Sync, "H": Flush, "c": CopyDone}[kind]


CONTROL: list[Group] = []
for _text in ("begin", "commit", "rollback"):
    CONTROL.append([("S",), ("Q", _text)])
    CONTROL.append([("S",), ("P", "", _text), ("B", "", ""), ("E", "", "0"), ("S",)])


def copying(how: Group, end: str) -> Group:
    """The statement is closed with it: executed again without data, it would break the protocol."""
    return [*how, ("d",), ("d",), (end,), ("S",), ("CS", ""), ("S",)]


COPY_IN: list[Group] = [
    [("Q", "cin")],
    [("S",), ("P", "", "cin"), ("B", "", ""), ("E", "", "0"), ("S",)],
    [("S",), ("P", "", "cin"), ("B", "", ""), ("E", "", "0"), ("H",)],
]


def transcript(groups: list[Group], lag: random.Random) -> tuple[list[Sent], Model]:
    """Requests and answers in an order in which the relay may see them: answers come late, never early."""
    model = Model()
    steps: list[Sent] = []
    late = bytearray()
    closing: Group = [("S",)]
    for group in [*groups, closing]:
        for op in group:
            steps.append(client(encode(op)))
            late += model.answer(op)
            cut = lag.choice([0, 0, len(late), lag.randint(0, len(late))])
            if cut:
                steps.append(server(bytes(late[:cut])))
                del late[:cut]
    steps.append(server(bytes(late)))
    return steps, model


def recut(steps: list[Sent], cuts: random.Random) -> list[Sent]:
    """The same bytes in the same order, in other pieces: joined where neighbours allow, split at random."""
    joined: list[Sent] = []
    for step in steps:
        if joined and joined[-1].from_client == step.from_client and cuts.random() < 0.7:
            joined[-1] = Sent(step.from_client, joined[-1].data + step.data)
        else:
            joined.append(step)
    pieces: list[Sent] = []
    for step in joined:
        data = step.data
        while data:
            n = cuts.choice([1, 2, 5, cuts.randint(1, len(data)), len(data)])
            pieces.append(Sent(step.from_client, data[:n]))
            data = data[n:]
    return pieces
