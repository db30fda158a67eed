"""Executes revisions/0014_as_of.sql."""

from app.migrate import run_revision

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_revision(revision)
