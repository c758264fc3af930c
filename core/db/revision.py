"""Write a new revision file from the difference between models and database (`jishi migration OWNER NAME`)."""

from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from alembic.autogenerate import render_python_code
from alembic.operations import ops
from alembic.script import ScriptDirectory

from core.db import migrations
from core.db.base import PgPoint
from core.db.engine import create_owner_engine
from core.db.migrations import History

_FILE = '''"""{message}"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from {door} import PgPoint, open_table, protect

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    {upgrade}


def downgrade() -> None:
    """Take back."""
    {downgrade}
'''


async def write(owner_url: str, history: History, metadata: sa.MetaData, name: str) -> Path | None:
    """The new revision's file, or None when models and database agree."""
    engine = create_owner_engine(owner_url)
    try:
        async with engine.connect() as connection:
            script = await connection.run_sync(lambda c: migrations.draft(c, history, metadata))
    finally:
        await engine.dispose()
    if script.upgrade_ops.is_empty():
        return None
    directory: ScriptDirectory = history.script()
    heads = directory.get_heads()
    number = f"{len(list(directory.walk_revisions())) + 1:04d}"
    for step in script.upgrade_ops.ops:
        if isinstance(step, ops.CreateTableOp):
            step.info = {}
    lines = [_render(script.upgrade_ops)]
    lines += [migrations.protection_of(metadata.tables[t]) for t in migrations.created(script.upgrade_ops)]
    text = _FILE.format(
        message=name.replace("_", " ").capitalize() + ".",
        revision=f"{history.owner}_{number}",
        down=heads[0] if heads else None,
        upgrade="\n    ".join(lines),
        downgrade=_render(script.downgrade_ops),
        door="core.db.revision" if history.owner == "core" else "core.api",
    )
    path = history.folder / f"{number}_{name}.py"
    path.write_text(text)
    return path


def _render(operations: ops.UpgradeOps | ops.DowngradeOps) -> str:
    def item(kind: str, value: object, _: object) -> str | Literal[False]:
        return "PgPoint()" if kind == "type" and isinstance(value, PgPoint) else False

    code = str(render_python_code(operations, render_item=item, migration_context=None))
    lines = [line for line in code.splitlines() if "# ###" not in line]
    return "\n".join(lines).replace("(astext_type=Text())", "()").replace("ARRAY(", "ARRAY(sa.").strip()


open_table = migrations.open_table
protect = migrations.protect
__all__ = ["PgPoint", "open_table", "protect", "write"]
