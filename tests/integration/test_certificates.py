"""Whoever cannot prove to be the exchange is not listened to, and it is said why; there is no way round."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from common.clock import Clock
from common.errors import Retryable
from common.ports import Request
from fetchers import registry
from fetchers.events import Connected, Event, Lost
from tests.fixtures.live import T0, LeapClock, events, exchange_server, http_client, kline, losses, told_candles
from tests.fixtures.tls import Authority, authority, shows

Makes = Callable[[Authority, Path], Path]
EXPIRED = "its certificate is not believed (certificate has expired), so nothing is asked or heard there;"
FOREIGN = "its certificate is not believed (unable to get local issuer certificate), so nothing is asked or heard"


def expired(ours: Authority, folder: Path) -> Path:
    return ours.certificate("expired", until=timedelta(hours=-1))


def foreign(ours: Authority, folder: Path) -> Path:
    return authority(folder, "stranger").certificate("foreign")


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


async def talk(socket: ServerConnection) -> None:
    while True:
        await socket.send(kline(T0, 1))
        await socket.recv()


@pytest.mark.parametrize(("made", "said"), [(expired, EXPIRED), (foreign, FOREIGN)])
async def test_a_stream_refuses_a_wrong_certificate_in_one_sentence_and_connects_to_the_right_one(
    ours: Authority, tmp_path: Path, made: Makes, said: str
) -> None:
    context = shows(made(ours, tmp_path))

    def mended(seen: list[Event]) -> bool:
        if losses(2)(seen):
            shows(ours.certificate("right"), context)
        return told_candles(1)(seen)

    async with exchange_server(talk, ssl=context) as url:
        seen = await events(url.replace("ws://127.0.0.1", "wss://localhost"), mended)
    lost = [one for one in seen if isinstance(one, Lost)]
    assert len(lost) >= 2 and all(one.reason.startswith(said) for one in lost)
    assert [type(one) for one in seen].index(Connected) == len(lost)


@pytest.mark.parametrize(("made", "said"), [(expired, EXPIRED), (foreign, FOREIGN)])
async def test_rest_refuses_a_wrong_certificate_in_one_sentence(
    ours: Authority, tmp_path: Path, made: Makes, said: str
) -> None:
    async with exchange_server(talk, ssl=shows(made(ours, tmp_path))) as url:
        http = http_client(LeapClock(), {"binance": url.replace("ws://127.0.0.1", "https://localhost")})
        with pytest.raises(Retryable) as refused:
            await http.get(registry.get("binance"), Request("/api/v3/klines"))
        await http.close()
    assert str(refused.value).startswith(f"binance does not answer: {said}")


async def test_a_handshake_that_breaks_off_is_tried_again(ours: Authority) -> None:
    context = shows(ours.certificate("right"))
    context.sni_callback = lambda *_: 80  # the alert "internal error"

    def mended(seen: list[Event]) -> bool:
        if losses(2)(seen):
            context.sni_callback = lambda *_: None
        return told_candles(1)(seen)

    async with exchange_server(talk, ssl=context) as url:
        seen = await events(url.replace("ws://127.0.0.1", "wss://localhost"), mended, clock=Clock())
    assert [type(one) for one in seen][:3] == [Lost, Lost, Connected]
