"""The Celery application: `celery -A celery_app.celery_main worker -Q bitfinex_rest`, `… beat`, `… flower`.

Importing this module reads no setting and connects to nothing; Celery asks for its configuration when it starts.
"""

from celery import Celery

from celery_app.configuration import configuration

app = Celery("candlehouse", include=["celery_app.tasks", "celery_app.celery_tasks", "celery_app.on_start"])
app.add_defaults(configuration)
