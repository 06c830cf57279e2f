"""From tokens to the shape of each statement: its text without what varies between calls.

PostgreSQL's fingerprint (libpg_query) ignores constants, so a literal may become a parameter wherever the
grammar takes a parameter; the shape then has the fingerprint of the original. Where it does not:

* ``interval '1 day'`` becomes ``$1::interval``; a sign in front of a number goes into the value (the grammar
  folds it into the constant, which ``-$1`` would not be).
* Type modifiers, ordinals of ORDER BY and GROUP BY, fields of EXTRACT and the like stay as written: they are
  part of what is asked, and PostgreSQL takes no parameter there.
* Utility statements take no parameters. Those whose literals are data (SET, NOTIFY, DO, …) have them
  blanked (``''``, ``0``); in DDL they stay, for they are part of its identity, unless the statement can carry
  a password or a connection string, or is not known here: then they are blanked too.
* Names that clients number (savepoints, cursors, prepared statements) become one name, because fingerprints
  ignore them too.

Lists that grow with the data are cut short (``workload.growing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from workload.growing import Piece, Slot, without_growing_lists
from workload.tokens import Token, is_number
from workload.words import (
    BLANKED_UTILITIES,
    CONTINUES_TYPE,
    ENDS_ORDINALS,
    KNOWN_UTILITIES,
    NAMED_AFTER,
    NOT_A_TYPE,
    PARAMETER_VERBS,
    SECRET_WORDS,
    SENSITIVE_FUNCTIONS,
    SETTABLE,
    TYPES_WITH_MODIFIER,
    UNARY_AFTER,
)


class Mode(Enum):
    """What becomes of literals."""

    PARAMETERS = 1
    BLANK = 2
    BLANK_STRINGS = 3
    KEEP = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """One statement of a text. Shared by all texts that differ in literals and comments only."""

    text: str
    params: tuple[int, ...]
    """Which Bind parameters (from 0) are the shape's $1…; the literals in ``slots`` come after them."""
    slots: tuple[Slot, ...]
    list_length: int
    """Members of the longest IN list of literals and parameters; 0 without one."""
    sensitive: bool
    """May carry credentials: never sample it."""
    numbers: tuple[bool, ...]
    """Of each slot whether its literals are numbers."""
    kept: tuple[int, ...]
    """Pieces of literals that stand in the text as written."""


def shape_of(found: list[Token]) -> Shape:
    """The shape of one statement, given its tokens without the semicolon."""
    return _Builder(found).build()


class _Builder:
    """One pass over the tokens of a statement; the state is what the position means for a literal."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.out: list[Piece] = []
        self.mode = _mode(found)
        self.parens: list[str] = []
        """Open parentheses and brackets: ``type`` for a type's modifiers, extract, json_table, or empty."""
        self.ordinals_at = -1
        """Depth of the ORDER BY or GROUP BY list that the position is in."""
        self.in_type = False
        self.kept: list[int] = []

    def build(self) -> Shape:
        found = self.tokens
        for position, token in enumerate(found):
            if token.kind == "l":
                self._literal(position, token)
            elif token.kind == "p" and self.mode is Mode.PARAMETERS:
                self.out.append((token.spaced, int(token.text[1:])))
            else:
                self._other(position, token)
        if found and found[0].kind == "w":
            _rename(found, self.out)
        text, params, slots, list_length = _assemble(without_growing_lists(self.out))
        sensitive = self.mode is not Mode.PARAMETERS or any(
            token.kind == "w" and token.text.startswith(SENSITIVE_FUNCTIONS) and after.text == "("
            for token, after in pairwise(found)
        )
        numbers = tuple(slot.number for slot in slots)
        return Shape(text, params, slots, list_length, sensitive, numbers, tuple(self.kept))

    def _other(self, position: int, token: Token) -> None:
        text = token.text
        before = self.tokens[position - 1] if position else None
        if token.kind == "w":
            if text == "by":
                self.ordinals_at = len(self.parens)
            elif text in ENDS_ORDINALS and self.ordinals_at == len(self.parens):
                self.ordinals_at = -1
            if self.in_type and not (before and before.text in ("::", ".")) and text not in CONTINUES_TYPE:
                self.in_type = False
            self._maybe_query_begins(position, text)
        elif text == "::":
            self.in_type = True
        elif text in ("(", "["):
            self._open(before, text)
        elif text in (")", "]"):
            closed = self.parens.pop() if self.parens else ""
            self.in_type = closed == "type"
            if len(self.parens) < self.ordinals_at:
                self.ordinals_at = -1
            if not self.parens and self.tokens[0].text == "copy" and self.mode is Mode.PARAMETERS:
                self.mode = Mode.KEEP  # the options after COPY (SELECT …)
        elif token.kind != "q" and text != ".":
            self.in_type = False
        self.out.append((token.spaced, token.source))

    def _open(self, before: Token | None, bracket: str) -> None:
        what = ""
        if before is not None and before.kind in "wq":
            if self.in_type or (bracket == "(" and before.text in TYPES_WITH_MODIFIER):
                what = "type"
            elif before.text in ("extract", "json_table"):
                what = before.text
        elif self.in_type and bracket == "[":
            what = "type"
        self.parens.append(what)

    def _maybe_query_begins(self, position: int, word: str) -> None:
        """CREATE TABLE … AS SELECT, EXPLAIN …, COPY (…): from the query on, literals are parameters."""
        if self.mode is Mode.KEEP and word in (
            "select",
            "insert",
            "update",
            "delete",
            "with",
            "values",
            "merge",
        ):
            first = self.tokens[0].text
            before = self.tokens[position - 1].text if position else ""
            if (
                first == "explain"
                or (first == "copy" and before == "(")
                or (first == "create" and before == "as")
            ):
                words = {token.text for token in self.tokens[:position]}
                if first != "create" or ("table" in words or "materialized" in words):
                    self.mode = Mode.PARAMETERS

    def _literal(self, position: int, token: Token) -> None:
        source = token.source
        number = is_number(source)
        if self.mode is Mode.KEEP or (number and self.mode is Mode.BLANK_STRINGS):
            self._keep(token)
        elif self.mode is not Mode.PARAMETERS:
            self.out.append((token.spaced, "0" if number else "''"))
        elif number:
            if self._number_stays(position):
                self._keep(token)
            else:
                self._number(position, token)
        else:
            self._string(position, token)
        self.in_type = False

    def _keep(self, token: Token) -> None:
        self.out.append((token.spaced, token.source))
        self.kept.append(token.piece)

    def _number_stays(self, position: int) -> bool:
        if self.parens and self.parens[-1] == "type":
            return True
        if self.ordinals_at == len(self.parens) and self.tokens[position].source.isdigit():
            after = self.tokens[position + 1] if position + 1 < len(self.tokens) else None
            if self.tokens[position - 1].text in ("by", ","):
                return after is None or after.kind == "w" or after.text in (",", ")")
        return False

    def _number(self, position: int, token: Token) -> None:
        negative = False
        spaced = token.spaced
        after = self.tokens[position + 1].text if position + 1 < len(self.tokens) else ""
        if after not in ("::", "["):
            at = position
            while at and self.tokens[at - 1].text == "-" and self._is_unary(at - 1):
                at -= 1
                negative = not negative
                spaced = self.out.pop()[0]
        self.out.append((spaced, Slot(token.piece, negative, True)))

    def _is_unary(self, position: int) -> bool:
        if not position:
            return True
        before = self.tokens[position - 1]
        if before.kind == "w":
            return before.text in UNARY_AFTER
        return before.kind == "o" and before.text not in (")", "]")

    def _string(self, position: int, token: Token) -> None:
        slot = Slot(token.piece, False, False)
        before = self.tokens[position - 1] if position else None
        if before is None or before.kind not in "wq":
            inside = (before.text, self.parens[-1]) if before and self.parens else ()
            if inside in (("(", "extract"), (",", "json_table")):
                self._keep(token)
            elif before is not None and before.text == ")" and self._closes_modifiers(position - 1):
                self.out.append((token.spaced, "''"))
            else:
                self.out.append((token.spaced, slot))
        elif before.text in ("path", "uescape", "nested"):
            self._keep(token)
        else:
            length = self._type_name_before(position)
            if not length:
                self.out.append((token.spaced, slot))
                return
            name = self.out[-length:]
            del self.out[-length:]
            self.out.append((name[0][0], slot))
            self.out.append((False, "::"))
            self.out.append((False, name[0][1]))
            self.out.extend(name[1:])

    def _closes_modifiers(self, position: int) -> bool:
        while position > 1 and self.tokens[position].text != "(":
            position -= 1
        return self.tokens[position - 1].text in TYPES_WITH_MODIFIER

    def _type_name_before(self, position: int) -> int:
        """How many tokens before a string are the name of its type; 0 when they are none."""
        found = self.tokens
        before = found[position - 1]
        words = [token.text for token in found[max(0, position - 4) : position]]
        if words[-2:] == ["time", "zone"]:
            return 4 if words[0] in ("timestamp", "time") and words[1] in ("with", "without") else 0
        if words[-1] in ("precision", "varying") and len(words) > 1:
            return 2
        if before.kind == "w" and before.text in NOT_A_TYPE:
            return 0
        length = 1
        while (
            position > length + 1
            and found[position - length - 1].text == "."
            and found[position - length - 2].kind in "wq"
        ):
            length += 2
        # An alias without AS cannot be followed by a string, so a name before one is a type.
        return length


def _mode(found: list[Token]) -> Mode:
    words = [token.text for token in found[:6] if token.kind in "wq"]
    first = words[0] if words else ""
    if first in PARAMETER_VERBS or (found and found[0].text == "("):
        return Mode.BLANK if words[:2] == ["prepare", "transaction"] else Mode.PARAMETERS
    if first not in KNOWN_UTILITIES:
        return Mode.BLANK
    if words[0] in BLANKED_UTILITIES or tuple(words[:2]) in BLANKED_UTILITIES or "prepared" in words[:2]:
        return Mode.BLANK
    if any(token.kind == "w" and token.text in SECRET_WORDS for token in found):
        return Mode.BLANK_STRINGS
    if first == "alter" and words[1:2] and words[1] in SETTABLE:
        return Mode.BLANK_STRINGS
    if first == "create" and ("function" in words or "procedure" in words):
        return Mode.BLANK
    return Mode.KEEP


def _rename(found: list[Token], out: list[Piece]) -> None:
    """Give the names that clients number one name; see the essay above."""
    first = found[0].text
    name = NAMED_AFTER.get(first)
    if name is None or len(found) < 2 or len(out) < 2:
        return
    if first == "rollback":
        if "to" not in (token.text for token in found[1:3]):
            return
    elif (first == "deallocate" and found[-1].text == "all") or (
        first == "close" and found[-1].text == "all"
    ):
        return
    at = 1 if first == "declare" else len(out) - 1
    if found[at if first == "declare" else -1].kind in "wq":
        out[at] = (out[at][0], name)


def _assemble(cut: tuple[list[Piece], int]) -> tuple[str, tuple[int, ...], tuple[Slot, ...], int]:
    """Number the parameters and join the pieces."""
    out, longest = cut
    present = sorted({what for _spaced, what in out if isinstance(what, int)})
    numbers = {old: new for new, old in enumerate(present, 1)}
    slots: list[Slot] = []
    text: list[str] = []
    for spaced, what in out:
        if spaced and text:
            text.append(" ")
        if isinstance(what, str):
            text.append(what)
        elif isinstance(what, int):
            text.append(f"${numbers[what]}")
        else:
            slots.append(what)
            text.append(f"${len(present) + len(slots)}")
    return "".join(text), tuple(old - 1 for old in present), tuple(slots), longest
