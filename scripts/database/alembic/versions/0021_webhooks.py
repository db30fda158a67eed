"""Executes revisions/0021_webhooks.sql."""

from app.migrate import run_revision

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_revision(revision)
