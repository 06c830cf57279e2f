"""Words of PostgreSQL's grammar that decide what a literal beside them means.

Keyword categories are those of src/include/parser/kwlist.h; a test compares them with pglast's.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED: Final = _words(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
    create current_catalog current_date current_role current_time current_timestamp current_user
    default deferrable desc distinct do else end except false fetch for foreign from grant group
    having in initially intersect into lateral leading limit localtime localtimestamp not null offset
    on only or order placing primary references returning select session_user some symmetric
    system_user table then to trailing true union unique user using variadic when where window with
    """
)
TYPE_OR_FUNCTION: Final = _words(
    """
    authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull
    join left like natural notnull outer overlaps right similar tablesample verbose
    """
)
NOT_A_TYPE: Final = (
    RESERVED
    | TYPE_OR_FUNCTION
    | _words(
        """
    between by coalesce content document escape exists format groups key passing path range rows set
    uescape value values version zone
    """
    )
)
"""Words after which a string is not of a type of that name."""

TYPES_WITH_MODIFIER: Final = _words(
    """
    bit char character dec decimal float interval national nchar numeric time timestamp varchar
    varying
    """
)

PARAMETER_VERBS: Final = _words(
    """
    select insert update delete merge with values table call execute declare prepare
    """
)
"""First words of the statements whose literals can be parameters."""

KNOWN_UTILITIES: Final = _words(
    """
    abort alter analyse analyze begin checkpoint close cluster comment commit copy create deallocate
    discard do drop end explain fetch grant import listen load lock move notify reassign refresh
    reindex release reset revoke rollback savepoint security set show start truncate unlisten vacuum
    """
)
BLANKED_UTILITIES: Final[frozenset[str | tuple[str, str]]] = frozenset(
    ["set", "reset", "notify", "do", ("alter", "system"), ("create", "tablespace")]
)
"""Their literals are data, and fingerprints ignore them."""

SETTABLE: Final = _words("database function procedure routine")
"""ALTER of these may carry a setting, whose value is data."""

SECRET_WORDS: Final = _words(
    """
    password encrypted program connection options server subscription mapping user role
    """
)
"""In a utility statement: a password, a connection string or a shell command may follow."""

SENSITIVE_FUNCTIONS: Final = ("dblink", "pgp_", "crypt", "encrypt", "decrypt", "hmac", "postgres_fdw")

NAMED_AFTER: Final = {
    "savepoint": "s",
    "release": "s",
    "rollback": "s",
    "deallocate": "p",
    "declare": "c",
    "fetch": "c",
    "move": "c",
    "close": "c",
}

UNARY_AFTER: Final = _words(
    """
    select where and or not on having in then when else case between like ilike similar from to by
    limit offset returning values distinct all any some is set using escape union except intersect
    """
)
"""Words after which a minus is a sign."""

CONTINUES_TYPE: Final = _words("varying precision with without time zone")
ENDS_ORDINALS: Final = _words(
    """
    union intersect except select returning window limit offset fetch for
    """
)
"""Words that end the list of an ORDER BY or GROUP BY."""
