"""Executes revisions/0012_imports.sql."""

from app.migrate import run_revision

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_revision(revision)
