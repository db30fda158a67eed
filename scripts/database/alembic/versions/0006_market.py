"""Executes revisions/0006_market.sql."""

from app.migrate import run_revision

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_revision(revision)
