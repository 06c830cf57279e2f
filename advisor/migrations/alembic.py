"""Alembic revisions, put on top of the project's one head.

The project is read with Alembic's own ScriptDirectory, which imports the revision files. Where that fails
(they import an application that is not installed beside pgcoach), the files' ``revision`` and
``down_revision`` are read from their syntax trees instead.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tomllib
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory

from advisor.migrations import render
from advisor.migrations.model import ExportError, Migration, MigrationFile
from advisor.model import Advice, IndexCandidate, IndexKey
from advisor.sql import candidate_name, quote_identifier

_DEFAULT_TEMPLATE = "%(rev)s_%(slug)s"
_SLUG_LENGTH = 40
"""Alembic's own truncate_slug_length."""


@dataclass(frozen=True, slots=True)
class Project:
    """What must be known of the project to add a revision."""

    versions: Path
    """Directory of the newest revision file."""
    head: str | None
    revisions: dict[str, Path]
    file_template: str


def is_project(directory: Path) -> bool:
    """Whether ``directory`` is an Alembic project, or the environment (env.py, versions) of the one above."""
    return _has_config(directory) or (_is_environment(directory) and _has_config(directory.resolve().parent))


def _is_environment(directory: Path) -> bool:
    return (directory / "env.py").is_file() and (directory / "versions").is_dir()


def _has_config(directory: Path) -> bool:
    return (directory / "alembic.ini").is_file() or "alembic" in _pyproject_tools(directory)


def read_project(directory: Path) -> Project:
    """The Alembic project whose alembic.ini or pyproject.toml is in ``directory``.

    Raises ExportError when there is none, it cannot be read, or it has several heads.
    """
    if not is_project(directory):
        raise ExportError(
            f"no Alembic project in {directory}: neither alembic.ini nor [tool.alembic] in pyproject.toml; "
            "name the directory that holds it"
        )
    config = _config(directory if _has_config(directory) else directory.resolve().parent)
    path_before = list(sys.path)
    try:
        with warnings.catch_warnings():
            # Advice about the project's own settings is the project's business.
            warnings.simplefilter("ignore")
            script = ScriptDirectory.from_config(config)
            scripts = {revision.revision: Path(revision.path) for revision in script.walk_revisions()}
            heads = tuple(script.get_heads())
            places = [] if heads else [Path(script.versions)]
            template = script.file_template
    except Exception as error:  # what a project's revisions import can raise anything
        scripts, heads, places, template = _read_statically(config, error)
    finally:
        sys.path[:] = path_before  # from_config puts the project's prepend_sys_path there
    if len(heads) > 1:
        raise ExportError(
            f"the Alembic project in {directory} has {len(heads)} heads ({', '.join(sorted(heads))}): "
            "run `alembic merge heads` first, so that it is clear what the new revision follows"
        )
    head = heads[0] if heads else None
    return Project(
        versions=scripts[head].parent if head else places[0],
        head=head,
        revisions=scripts,
        file_template=template or _DEFAULT_TEMPLATE,
    )


def revision_id(advice: Advice) -> str:
    """12 hex digits, the same for the same advice."""
    return hashlib.blake2b(f"alembic\0{advice.id}".encode(), digest_size=6).hexdigest()


def index_migration(
    advice: Advice,
    candidate: IndexCandidate,
    project: Project,
    down_revision: str | None,
    directory: Path,
    now: datetime,
) -> Migration:
    """The revision that builds the index. ``directory`` is the export's; paths are relative to it.

    Raises ExportError when the project keeps its revisions outside of ``directory``, or for a name that
    Alembic cannot say.
    """
    name = candidate_name(candidate)
    named = (candidate.schema, candidate.table, name, *(key.column for key in candidate.keys))
    if any("\\:" in part for part in (*named, *candidate.include)):
        raise ExportError(
            f"index {name} on {candidate.table}: SQLAlchemy's text() cannot say a name with a backslash "
            "before a colon; export it for psql"
        )
    revision = revision_id(advice)
    path = project.versions.resolve() / _file_name(project.file_template, revision, f"add {name}", now)
    root = directory.resolve()
    if not path.is_relative_to(root):
        raise ExportError(
            f"the project in {directory} keeps its revisions in {project.versions}, outside of it"
        )
    columns = ", ".join(repr(key.column) for key in candidate.keys)
    return Migration(
        advice_id=advice.id,
        runner="alembic",
        files=(
            MigrationFile(
                path.relative_to(root).as_posix(),
                _revision(advice, candidate, revision, down_revision, now),
            ),
        ),
        notes=(
            "Run: alembic upgrade head",
            f"Add Index({name!r}, {columns}) to the model of {candidate.table}, "
            "or the next --autogenerate proposes to drop it.",
        ),
    )


def _pyproject_tools(directory: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    tools = document.get("tool", {})
    return tools if isinstance(tools, dict) else {}


def _config(directory: Path) -> Config:
    ini, toml = directory / "alembic.ini", directory / "pyproject.toml"
    return Config(
        str(ini) if ini.is_file() else None,
        toml_file=str(toml) if "alembic" in _pyproject_tools(directory) else None,
    )


def _read_statically(
    config: Config, cause: Exception
) -> tuple[dict[str, Path], tuple[str, ...], list[Path], str]:
    try:
        location = config.get_alembic_option("script_location")
        places = config.get_version_locations_list() or ([f"{location}/versions"] if location else [])
        template = config.get_alembic_option("file_template") or _DEFAULT_TEMPLATE
    except Exception as error:
        raise ExportError(f"the Alembic configuration cannot be read: {error}") from cause
    base = Path(config.config_file_name or config.toml_file_name or ".").resolve().parent
    directories = [base / place for place in places if ":" not in place]
    if not directories or not all(directory.is_dir() for directory in directories):
        raise ExportError(
            f"the Alembic revisions cannot be loaded ({cause}) and their directory cannot be found; "
            "run the export where `alembic heads` works"
        ) from cause
    scripts: dict[str, Path] = {}
    followed: set[str] = set()
    for path in sorted(path for directory in directories for path in directory.glob("*.py")):
        values = _assignments(path)
        if isinstance(values.get("revision"), str):
            scripts[values["revision"]] = path
            down = values.get("down_revision")
            followed.update([down] if isinstance(down, str) else down or ())
    return scripts, tuple(sorted(set(scripts) - followed)), directories, template


def _assignments(path: Path) -> dict[str, Any]:
    """The constants ``revision`` and ``down_revision`` of a revision file, without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, SyntaxError) as error:
        raise ExportError(f"the Alembic revision {path} cannot be read: {error}") from error
    values: dict[str, Any] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id in ("revision", "down_revision") and value is not None:
            try:
                values[target.id] = ast.literal_eval(value)
            except ValueError as error:
                raise ExportError(f"{path}: {target.id} is not a plain value") from error
    return values


def _file_name(template: str, revision: str, message: str, now: datetime) -> str:
    """As ScriptDirectory names a new revision."""
    words = "_".join(re.findall(r"\w+", render.slug(message)))
    if len(words) > _SLUG_LENGTH:
        words = words[:_SLUG_LENGTH].rsplit("_", 1)[0] + "_"
    filled = template % {
        "rev": revision,
        "slug": words,
        "epoch": int(now.timestamp()),
        "year": now.year,
        "month": now.month,
        "day": now.day,
        "hour": now.hour,
        "minute": now.minute,
        "second": now.second,
    }
    return f"{filled}.py"


def _key(key: IndexKey) -> str:
    """A column as ``op.create_index`` takes it."""
    words = ""
    if key.descending:
        words += " DESC"
    if key.nulls_first is not None and key.nulls_first != key.descending:
        words += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return _text(quote_identifier(key.column) + words) if words else _literal(key.column)


def _text(sql: str) -> str:
    """``sa.text`` of one line of SQL."""
    return f"sa.text({_literal(_escaped(sql))})"


def _block(sql: str) -> str:
    """``sa.text`` of several lines of SQL, as an argument that is indented twelve deep."""
    lines = "".join(f"                {_literal(line)}\n" for line in _escaped(sql).splitlines(keepends=True))
    return f"sa.text(\n{lines}            )"


def _escaped(sql: str) -> str:
    """In ``sa.text`` a colon before a word is a bind parameter unless there is a backslash before it."""
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", sql)


def _literal(text: str) -> str:
    """A Python string literal in double quotes: JSON's escapes are a part of Python's."""
    return json.dumps(text, ensure_ascii=False)


def _arguments(depth: int, *items: str) -> str:
    return "".join(f"{' ' * depth}{item},\n" for item in items if item)


def _revision(
    advice: Advice, candidate: IndexCandidate, revision: str, down_revision: str | None, now: datetime
) -> str:
    name = candidate_name(candidate)
    title = render.one_line(f"add index {name} on {candidate.table}").replace("\\", "/").replace('"', "'")
    comments = "".join(
        f"# {line}\n" for line in render.header(advice, now, f"alembic downgrade {down_revision or 'base'}")
    )
    schema = f"schema={_literal(candidate.schema)}" if candidate.schema else ""
    include = ", ".join(_literal(column) for column in candidate.include)
    create = _arguments(
        12,
        _literal(name),
        _literal(candidate.table),
        f"[{', '.join(_key(key) for key in candidate.keys)}]",
        schema,
        f"postgresql_using={_literal(candidate.method)}",
        f"postgresql_include=[{include}]" if include else "",
        "postgresql_concurrently=True",
        "if_not_exists=True",
    )
    drop = _arguments(
        8,
        _literal(name),
        f"table_name={_literal(candidate.table)}",
        schema,
        "postgresql_concurrently=True",
        "if_exists=True",
    )
    leftover = "SELECT 1\n  FROM pg_index i\n WHERE " + render.leftover_condition(candidate)
    return f"""\"\"\"{title}

Revision ID: {revision}
Revises: {down_revision or ""}
Create Date: {now:%Y-%m-%d %H:%M:%S}

\"\"\"
{comments}#
# Keep this revision to itself: the autocommit block commits what came before it in the same transaction.
# Add the same Index to the model, or the next --autogenerate proposes to drop it.
from typing import Sequence, Union

import sqlalchemy as sa
from alembic import op

revision: str = {_literal(revision)}
down_revision: Union[str, Sequence[str], None] = {_literal(down_revision) if down_revision else None}
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # The build waits for running transactions and blocks neither reads nor writes meanwhile.
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        op.execute(
            {_block(render.refuse_partitioned(candidate))}
        )
        _drop_invalid()
        op.create_index(
{create}        )
        op.execute(
            {_block(render.verify_valid(candidate))}
        )
        op.execute("RESET lock_timeout")
        op.execute("RESET statement_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = 0")
        _drop()
        op.execute("RESET lock_timeout")
        op.execute("RESET statement_timeout")


def _drop_invalid() -> None:
    # A build that failed leaves an INVALID index behind, which IF NOT EXISTS is content with.
    # Offline nothing can be asked; the check after the build finds it then.
    if not op.get_context().as_sql:
        leftover = op.get_bind().scalar(
            {_block(leftover)}
        )
        if leftover:
            _drop()


def _drop() -> None:
    op.drop_index(
{drop}    )
"""
