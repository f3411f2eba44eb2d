"""Several machines: who is running where, a tenant's place in the queues, shared secrets, sizes beyond 2 GiB"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SIZES = {"uploads": ("size_bytes", "limit_bytes", "received_bytes"), "jobs": ("output_bytes",)}


def upgrade() -> None:
    op.execute("DELETE FROM leases")  # nobody lives through this; they give a sign of life again
    with op.batch_alter_table("leases") as leases:
        leases.add_column(sa.Column("role", sa.String(), nullable=False))
        leases.add_column(sa.Column("machine", sa.String(), nullable=False))
    op.create_table(
        "shares",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("queue", "priority", "tenant_id", name=op.f("pk_shares")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    _sizes_are(sa.BigInteger())


def downgrade() -> None:
    _sizes_are(sa.Integer())
    op.drop_table("secrets")
    op.drop_table("shares")
    with op.batch_alter_table("leases") as leases:
        leases.drop_column("machine")
        leases.drop_column("role")


def _sizes_are(kind: sa.types.TypeEngine[int]) -> None:
    """SQLite has one kind of whole number, large enough."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, columns in _SIZES.items():
        for column in columns:
            op.alter_column(table, column, type_=kind)
