"""PostgreSQL's lexical rules, as far as statements must be told apart without parsing them.

A text is cut into alternating pieces by one regular expression that runs in C: plain stretches (words,
quoted identifiers, operators, parameters, white space) and between them what varies from call to call:
string and number literals and comments. Plain stretches are cut into tokens by a second expression, which
only runs for texts whose plain stretches were not met before (``workload.lexer``).

The rules are those of PostgreSQL's src/backend/parser/scan.l. Quantifiers are possessive, so that no text
makes the expressions backtrack.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_IDENT_START = r"A-Za-z_\u0080-\U0010ffff"
_IDENT = rf"[{_IDENT_START}][{_IDENT_START}0-9$]*+"
_TAG = rf"[{_IDENT_START}][{_IDENT_START}0-9]*+"

# White space is ASCII: to scan.l every other character belongs to a word.
# A string goes on after white space with a newline in it ('a'⏎'b' is one literal).
_MORE = r"(?:[ \t\r\f\v]*+\n[ \t\n\r\f\v]*+'{body}(?:'|\Z))*+"
_QUOTED = r"(?:[^']|'')*+"
_ESCAPED = r"(?:[^'\\]|\\.|''|\\\Z)*+"


def _string(prefix: str, body: str) -> str:
    return f"{prefix}'{body}(?:'|\\Z)" + _MORE.replace("{body}", body)


_NUMBER = (
    r"0[xX](?:_?[0-9A-Fa-f])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++"
    # Not 1..2: that is 1, then two dots.
    r"|(?:[0-9](?:_?[0-9])*+(?:\.(?!\.)(?:[0-9](?:_?[0-9])*+)?+)?+|\.[0-9](?:_?[0-9])*+)"
    r"(?:[eE][+-]?+[0-9](?:_?[0-9])*+)?+"
)


def _scanner(standard_conforming_strings: bool) -> re.Pattern[str]:
    plain_body = _QUOTED if standard_conforming_strings else _ESCAPED
    others = rf"[^{_IDENT_START}0-9'\"$./-]"
    plain = "|".join(
        (
            # The commonest first, and a word with what follows it, because turns of this loop cost.
            rf"(?![eEbBxXnN]'|[uU]&'){_IDENT}{others}*+",
            rf"{others}++",
            r'"(?:[^"]|"")*+(?:"|\Z)',
            r"\$[0-9]++",
            rf"\$(?!(?:{_TAG})?\$)",
            r"-(?!-)",
            r"/(?!\*)",
            r"\.(?![0-9])",
        )
    )
    token = "|".join(
        (
            _string("", plain_body),
            _string("[eE]", _ESCAPED),
            _string("[bBxX]", _QUOTED),
            _string("[nN]", plain_body),
            _string("[uU]&", _QUOTED)
            + r"(?:[ \t\n\r\f\v]*+[uU][eE][sS][cC][aA][pP][eE][ \t\n\r\f\v]*+'[^']'?)?+",
            rf"\$(?P<tag>{_TAG}|)\$(?:(?!\$(?P=tag)\$).)*+(?:\$(?P=tag)\$|\Z)",
            _NUMBER,
            r"--[^\n\r]*+",
            r"/\*[^*/]*+(?:(?!/\*|\*/)[*/][^*/]*+)*+\*/",
            # The head of a comment with another one inside, or without an end: see ``split``.
            r"/\*",
        )
    )
    return re.compile(rf"((?:{plain})*+)({token}|\Z)", re.DOTALL)


_SCANNERS: Final = {scs: _scanner(scs) for scs in (True, False)}
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def split(sql: str, standard_conforming_strings: bool = True) -> list[tuple[str, str, str]]:
    """(plain stretch, literal or comment, unused) in order; joined they are the text again.

    In place of a comment with comments in it, or without an end, stands an empty one.
    """
    scanner = _SCANNERS[standard_conforming_strings]
    pieces: list[tuple[str, str, str]] = scanner.findall(sql)
    if "/*" in sql and any(piece == "/*" for _plain, piece, _tag in pieces):
        return _split_nested(sql, scanner)
    return pieces


def _split_nested(sql: str, scanner: re.Pattern[str]) -> list[tuple[str, str, str]]:
    """As ``split``, piece by piece: the expression cannot count how deep comments are nested."""
    pieces: list[tuple[str, str, str]] = []
    position = 0
    while position < len(sql) and (match := scanner.match(sql, position)) is not None:
        if match[2] == "/*":
            pieces.append((match[1], "/**/", ""))
            position = _comment_end(sql, match.start(2))
        else:
            pieces.append((match[1], match[2], ""))
            position = match.end()
    return pieces


def _comment_end(sql: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


class Token(NamedTuple):
    """``kind``: w word, q quoted identifier, p parameter, o operator or punctuation, l literal."""

    kind: str
    text: str
    """Of a word in lower case."""
    source: str
    """As written."""
    spaced: bool
    """White space or a comment stands before it."""
    piece: int
    """Of a literal: its piece in the split text."""


_PLAIN_TOKEN: Final = re.compile(
    rf'([ \t\n\r\f\v]++)|({_IDENT})|("(?:[^"]|"")*+"?+)|(\$[0-9]++)|(::|:=|\.\.|[-+*/<>=~!@#%^&|`?]++|.)',
    re.DOTALL,
)
_KINDS: Final = " wqpo"
_LONGEST_PARAMETER: Final = len("$2147483647")
_KEEPS_SIGN: Final = frozenset("~!@#%^&|`?")
COMMENT_STARTS: Final = ("--", "/*")
SQUASHED: Final = "/*, ... */"
"""PostgreSQL 18's mark (pg_stat_statements) for list members that were left out; the one comment kept."""


def tokens(pieces: list[tuple[str, str, str]]) -> list[Token]:
    """The tokens of a split text; comments and white space only show in ``spaced``."""
    found: list[Token] = []
    spaced = False
    for number, (plain, piece, _tag) in enumerate(pieces):
        for match in _PLAIN_TOKEN.finditer(plain):
            group = match.lastindex or 0
            text = match[0]
            if group == 1:
                spaced = True
                continue
            # scan.l: an operator of several characters ends in + or - only if it has one of these.
            if group == 5 and len(text) > 1 and text[-1] in "+-" and not _KEEPS_SIGN.intersection(text):
                head = text.rstrip("+-") or text[0]
                found.append(Token("o", head, head, spaced, -1))
                found.extend(Token("o", sign, sign, False, -1) for sign in text[len(head) :])
            else:
                kind = _KINDS[group - 1]
                if kind == "p" and not _is_parameter(text):
                    kind = "o"
                found.append(Token(kind, text.lower() if kind == "w" else text, text, spaced, -1))
            spaced = False
        if not piece:
            continue
        if piece == SQUASHED:
            found.append(Token("o", piece, piece, True, -1))
            spaced = False
        elif piece.startswith(COMMENT_STARTS):
            spaced = True
        else:
            found.append(Token("l", "", piece, spaced, number))
            spaced = False
    return found


def _is_parameter(text: str) -> bool:
    """Whether the server takes ``$n`` for a parameter: from 1 on, and no more than an int holds."""
    return len(text) <= _LONGEST_PARAMETER and text.strip("$0") != ""


_CONTINUATION: Final = re.compile(r"'[ \t\r\f\v]*\n[ \t\n\r\f\v]*'")
_PLAIN_BODY: Final = re.compile(_QUOTED)
_ESCAPED_BODY: Final = re.compile(_ESCAPED, re.DOTALL)
_ESCAPES: Final = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))|''", re.DOTALL
)
_CONTROL: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UESCAPE: Final = re.compile(r"\s*[uU][eE][sS][cC][aA][pP][eE]\s*'(.)'?\Z", re.DOTALL)


def is_number(literal: str) -> bool:
    return literal[0].isdigit() or literal[0] == "."


def value(literal: str, standard_conforming_strings: bool = True) -> str:
    """The value that a literal stands for, as text; never raises."""
    first = literal[0]
    if first == "'":
        if standard_conforming_strings:
            return _unquoted(literal).replace("''", "'")
        return _ESCAPES.sub(_escape, _unquoted(literal, _ESCAPED_BODY))
    if first in "0123456789.":
        return literal.replace("_", "")
    if first == "$":
        return _between_tags(literal)
    if first in "eE":
        return _ESCAPES.sub(_escape, _unquoted(literal[1:], _ESCAPED_BODY))
    if first in "bBxX":
        return first.upper() + _unquoted(literal[1:])
    if first in "nN":
        return value(literal[1:], standard_conforming_strings)
    return _unicode(literal[2:])


def _unquoted(literal: str, body: re.Pattern[str] = _PLAIN_BODY) -> str:
    """What stands between the quotes, continuations joined; doubled quotes and escapes are left."""
    parts = []
    at = 1
    while True:
        part = body.match(literal, at)
        if part is None:
            break
        parts.append(part[0])
        following = _CONTINUATION.match(literal, part.end())
        if following is None:
            break
        at = following.end()
    return "".join(parts)


def _between_tags(literal: str) -> str:
    tag = literal[: literal.index("$", 1) + 1]
    body = literal[len(tag) :]
    return body.removesuffix(tag)


def _escape(match: re.Match[str]) -> str:
    four, eight, hexadecimal, octal, other = match.groups()
    if four or eight:
        return _character(int(four or eight, 16))
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    if octal:
        return chr(int(octal, 8) & 0xFF)
    if other is None:
        return "'"
    return _CONTROL.get(other, other)


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"


def _unicode(literal: str) -> str:
    escape = "\\"
    clause = _UESCAPE.search(literal)
    if clause is not None:
        escape = clause[1]
        literal = literal[: clause.start()]
    mark = re.escape(escape)
    return re.sub(
        rf"{mark}(?:([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|({mark}))",
        lambda match: escape if match[3] else _character(int(match[1] or match[2], 16)),
        _unquoted(literal).replace("''", "'"),
    )
