"""Executes revisions/0002_plan.sql."""

from app.migrate import run_revision

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_revision(revision)
