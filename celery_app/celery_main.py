"""The Celery application: `celery -A celery_app.celery_main worker -Q bitfinex_rest`, `… beat`, `… flower`.

Importing this module reads no setting and connects to nothing; Celery asks for its configuration when it starts.
"""

from celery import Celery

from celery_app.configuration import configuration

MODULES = [f"celery_app.{name}" for name in ("tasks", "celery_tasks", "on_start", "counting")]

app = Celery("candlehouse", include=MODULES)
app.add_defaults(configuration)
