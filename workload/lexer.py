"""From the text of a Query or Parse message to the shapes of its statements and the values in them.

Applications that write literals into their SQL never send the same text twice, so a text is not what to
remember. What is remembered is its *skeleton*: the plain stretches between literals and comments. Cutting
a text up is one regular expression; a skeleton that was met before costs a dictionary look-up on top, and
only a new one is tokenised.
"""

from __future__ import annotations

import re
from typing import Final

from workload.shapes import Shape, shape_of
from workload.tokens import SQUASHED, Token, split, tokens, value

MAX_SKELETONS: Final = 4096
MAX_SKELETON_CHARACTERS: Final = 8 * 1024 * 1024
LONG: Final = 200
"""Pieces from which on a text is searched for lists to shorten before anything else."""
_ROW_ENDS: Final = re.compile(r"\)\s*,\s*\(\s*-?")
_LIST_BEGINS: Final = re.compile(r"(?:\bin\s*\(|\barray\s*\[)\s*-?\s*\Z", re.IGNORECASE)
_QUERY_BEGINS: Final = re.compile(r"[\s(]*(?:select|insert|update|delete|merge|with|values)\b", re.IGNORECASE)


class Statement:
    """One statement of a text."""

    __slots__ = ("_pieces", "_standard", "list_length", "shape")

    def __init__(
        self, shape: Shape, pieces: list[tuple[str, str, str]], standard: bool, list_length: int
    ) -> None:
        self.shape = shape
        self.list_length = list_length
        """Members of the longest IN list; 0 without one."""
        self._pieces = pieces
        self._standard = standard

    @property
    def literals(self) -> tuple[str, ...]:
        """The values of the literals that became parameters, in the order of the shape's $n."""
        pieces = self._pieces
        values = []
        for slot in self.shape.slots:
            text = value(pieces[slot.piece][1], self._standard)
            values.append(f"-{text}" if slot.negative else text)
        return tuple(values)


class Lexer:
    """Shapes of texts, with a bounded memory of skeletons."""

    __slots__ = ("_characters", "_entries", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Known] = {}
        self._entries = 0
        self._characters = 0

    def lex(self, sql: str, standard_conforming_strings: bool = True) -> list[Statement]:
        """The statements of a text, as the server would count them: empty ones are none.

        Never raises; a text that is cut off or wrong gives what its beginning looks like.
        """
        pieces = split(sql, standard_conforming_strings)
        dropped = 0
        if len(pieces) > LONG and _QUERY_BEGINS.match(sql):
            pieces, dropped = _without_repetition(pieces)
        skeleton = tuple([(plain, _kind(piece)) for plain, piece, _tag in pieces])
        known = self._known.get(skeleton)
        if known is None:
            shapes = self._remember(skeleton, pieces)
        else:
            kept = tuple([pieces[index][1] for index in known.kept])
            found = known.shapes.get(kept)
            shapes = self._remember(skeleton, pieces) if found is None else found
        return [
            Statement(
                shape, pieces, standard_conforming_strings, shape.list_length and shape.list_length + dropped
            )
            for shape in shapes
        ]

    def _remember(
        self, skeleton: tuple[object, ...], pieces: list[tuple[str, str, str]]
    ) -> tuple[Shape, ...]:
        shapes = _shapes(pieces)
        size = sum([len(plain) + 1 for plain, _piece, _tag in pieces])
        if self._entries >= MAX_SKELETONS or self._characters + size > MAX_SKELETON_CHARACTERS:
            self._known.clear()
            self._entries = self._characters = 0
        known = self._known.get(skeleton)
        if known is None:
            known = self._known[skeleton] = _Known(tuple(index for shape in shapes for index in shape.kept))
        known.shapes[tuple([pieces[index][1] for index in known.kept])] = shapes
        self._entries += 1
        self._characters += size
        return shapes


class _Known:
    """What is known of a skeleton: which literals stay in its shapes, and the shapes by these."""

    __slots__ = ("kept", "shapes")

    def __init__(self, kept: tuple[int, ...]) -> None:
        self.kept = kept
        self.shapes: dict[tuple[str, ...], tuple[Shape, ...]] = {}


def lex(sql: str, standard_conforming_strings: bool = True) -> list[Statement]:
    """As ``Lexer.lex``, without a memory."""
    return Lexer().lex(sql, standard_conforming_strings)


def _kind(piece: str) -> str:
    """The sort of a literal or comment."""
    if not piece:
        return ""
    if piece.isdigit():
        return "0"
    first = piece[0]
    if first.isdigit():
        return "."
    return first if piece != SQUASHED else SQUASHED


def _without_repetition(pieces: list[tuple[str, str, str]]) -> tuple[list[tuple[str, str, str]], int]:
    """Shorten IN lists, arrays and rows of literals to a few members; gives also how many members went.

    Shapes do not show the rest anyway; this keeps a list of thousands from being tokenised.
    """
    short: list[tuple[str, str, str]] = []
    longest = 0
    at = 0
    count = len(pieces)
    last_row: dict[str, int] = {}
    while at < count:
        plain = pieces[at][0]
        mark = plain.strip()
        period = 0
        if mark in (",", ", -", ",-"):
            period = 1 if at > 1 and _LIST_BEGINS.search(pieces[at - 2][0]) else 0
        elif mark[:1] == ")" and _ROW_ENDS.fullmatch(mark):
            period = at - last_row.get(mark, at)
            last_row[mark] = at
            if any(";" in piece[0] for piece in pieces[at - period : at]):
                period = 0
        if period and at > period and pieces[at - period][0] == plain:
            end = at
            while (
                end < count
                and pieces[end][0] == pieces[end - period][0]
                and _kind(pieces[end][1]) == _kind(pieces[end - period][1])
            ):
                end += 1
            repeated = (end - at) // period
            if repeated > 1:
                # One more repetition stays, so that there are two members to see that it is a list.
                short.extend(pieces[at : at + period])
                longest = max(longest, repeated - 1)
                at += repeated * period
                continue
        short.append(pieces[at])
        at += 1
    return short, longest


def _shapes(pieces: list[tuple[str, str, str]]) -> tuple[Shape, ...]:
    return tuple(shape_of(statement) for statement in _statements(tokens(pieces)))


def _statements(found: list[Token]) -> list[list[Token]]:
    """Split at semicolons as psql does: not inside parentheses, nor in the body of BEGIN ATOMIC … END."""
    statements: list[list[Token]] = []
    current: list[Token] = []
    depth = 0
    bodies = 0
    for token in found:
        text = token.text
        if token.kind == "w":
            if text in ("atomic", "case"):
                if (text == "case" and bodies) or (
                    text == "atomic" and current and current[-1].text == "begin" and _is_routine(current)
                ):
                    bodies += 1
            elif text == "end" and bodies:
                bodies -= 1
        elif text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
        elif text == ";" and depth <= 0 and not bodies:
            statements.append(current)
            current = []
            depth = 0
            continue
        current.append(token)
    statements.append(current)
    return [statement for statement in statements if statement]


def _is_routine(found: list[Token]) -> bool:
    words = [token.text for token in found[:5]]
    return words[:1] == ["create"] and ("function" in words or "procedure" in words)
