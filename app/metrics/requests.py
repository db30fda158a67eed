"""What a process asked the exchanges by REST, and how they answered."""

from app.metrics.scrape import Collect, Scrape, spread
from fetchers.http import HttpClient

FIGURES = {
    "candlehouse_exchange_request_seconds": spread(
        "How long the exchange took to answer; status `none` where it did not", "exchange", "status"
    ),
}


def requests_of(http: HttpClient) -> Collect:
    def collect(scrape: Scrape) -> None:
        for (exchange, status), seconds in list(http.answered.items()):
            scrape.spread("candlehouse_exchange_request_seconds", seconds, exchange=exchange, status=status)

    return collect
