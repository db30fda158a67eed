"""Flower as an instance runs it: `python -m celery_app.flower --port=5566`.

Where FLOWER_BASIC_AUTH is set, Flower's pages and API want it, but its /metrics, with the names of workers and
tasks, would still be told to anybody; here that wants it too. /healthcheck stays open.
"""

import sys

from celery.__main__ import main
from flower.views.monitor import Metrics
from tornado.web import authenticated

if __name__ == "__main__":
    Metrics.get = authenticated(Metrics.get)
    sys.argv = ["celery", "-A", "celery_app.celery_main", "flower", *sys.argv[1:]]
    main()
