"""Executes revisions/0008_tiers.sql."""

from app.migrate import run_revision

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_revision(revision)
