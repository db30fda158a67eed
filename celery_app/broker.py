"""Redis as Celery's broker, whose lost connections are told as such."""

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as ConnectionLost


class Channel(redis.Channel):
    """One that outlives its connection says so.

    kombu closes it once more when the next connection is lost as well. It would fail there with an AttributeError,
    which ends the worker; a lost connection is what Celery expects, and then it tries again.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection.client is None:
            raise ConnectionLost("The connection of this channel was closed.")
        parameters: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]  # kombu annotates none
        return parameters


class Transport(redis.Transport):
    Channel = Channel
