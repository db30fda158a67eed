"""What a process remembers of an exchange's stream, without the stream."""

from app.messages import CandleMessage, from_candle
from common.market import Candle, Instrument, Source
from common.span import MINUTE_MS
from web.live.place import Place, Seq, place_of
from web.live.recent import KEPT_MINUTES, Heard, Recent

BTC = Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT")
ETH = Instrument("binance", "ETH", "USDT", "ETHUSDT", "ETH", "USDT")
START = 1_700_000_040_000


def told(market: Instrument, minute: int, volume: float, source: Source = Source.RUNNING) -> CandleMessage:
    open_ms = START + minute * MINUTE_MS
    return from_candle(Candle(market, open_ms, 10.0, 12.0, 9.0, 11.0, volume, source=source), open_ms + 1000)


def place(number: int) -> str:
    return f"{START + number}-0"


def recent() -> Recent:
    made = Recent()
    made.begin("epoch", place(0))
    made.caught_up = True
    return made


def test_the_better_knowledge_of_a_minute_stays_whatever_is_told_after_it() -> None:
    closed = told(BTC, 0, 7.0, Source.CLOSING_MESSAGE)
    for worse in (told(BTC, 0, 9.0), told(BTC, 0, 6.0, Source.CLOSING_MESSAGE)):
        made = recent()
        made.hear(closed, place(1))
        made.hear(worse, place(2))
        assert made.all_of(BTC) == {START: Heard(closed, place(1))}
        assert made.place == place(2)


def test_better_knowledge_takes_the_place_of_what_was_told_before() -> None:
    record = told(BTC, 0, 6.5, Source.RECORD)
    made = recent()
    for number, one in enumerate((told(BTC, 0, 7.0), told(BTC, 0, 7.5, Source.CLOSING_MESSAGE), record)):
        made.hear(one, place(number + 1))
    assert made.all_of(BTC) == {START: Heard(record, place(3))}


def test_so_many_minutes_are_kept_and_who_knows_less_than_they_begin_with_is_not_reached() -> None:
    made = recent()
    for minute in range(KEPT_MINUTES + 2):
        made.hear(told(BTC, minute, 1.0), place(minute + 1))
    assert sorted(made.all_of(BTC)) == [START + minute * MINUTE_MS for minute in range(2, KEPT_MINUTES + 2)]
    seqs = [Seq("epoch", place_of(place(number))) for number in range(KEPT_MINUTES + 3)]
    assert [made.reaches(seq, [BTC]) for seq in seqs] == [False, False, *[True] * (KEPT_MINUTES + 1)]
    assert all(made.reaches(seq, [ETH]) for seq in seqs), "of which nothing was forgotten"


def test_another_epoch_or_what_was_told_before_reading_began_is_not_reached() -> None:
    made = recent()
    assert not made.reaches(Seq("another", Place(START + 1, 0)), [BTC])
    assert not made.reaches(Seq("epoch", Place(START - 1, 0)), [BTC])
    assert made.reaches(Seq("epoch", Place(START, 0)), [BTC])
