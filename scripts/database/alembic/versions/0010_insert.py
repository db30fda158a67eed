"""Executes revisions/0010_insert.sql."""

from app.migrate import run_revision

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_revision(revision)
