"""What Celery is told of a lost Redis is what it knows how to mend."""

import pytest
from celery import Celery

from celery_app import configuration


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Celery:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    app = Celery("test")
    app.add_defaults(configuration.configuration)
    return app


def test_a_channel_that_outlives_its_connection_tells_a_lost_connection(celery: Celery) -> None:
    connection = celery.connection_for_read()
    channel = connection.default_channel
    connection._do_close_transport()  # half of closing, after which a lost server ends the other half
    with pytest.raises(connection.connection_errors, match="The connection of this channel was closed"):
        channel._create_client()
