"""Which of our markets another program's names mean, and new ones for markets that we never heard of."""

from collections.abc import Iterable, Mapping

from common.market import Instrument


def meant(exchange: str, base: str, quote: str, native: str, known: Iterable[Instrument]) -> Instrument:
    """The market that somebody calls `base` and `quote`, and the exchange calls `native` (empty where not told).

    The exchange's own spelling wins over ours: another program may mean by UST what we call USDT; any name that a
    market has wins over one that another had before. A market that is not known becomes one that does not trade,
    under the names that its currencies have in other markets.
    """
    listed = [one for one in known if one.exchange == exchange]
    called = [(before, one) for one in listed for before in one.former] + [(one, one) for one in listed]
    by_native = {each.native: one for each, one in called} | {f"t{each.native}": one for each, one in called}
    by_codes = {(each.native_base, each.native_quote): one for each, one in called}
    if found := by_native.get(native) or by_codes.get((base, quote)):
        return found
    currencies = _currencies(listed)
    names = currencies.get(base, base.upper()), currencies.get(quote, quote.upper())
    new = Instrument(exchange, *names, native or f"{base}{quote}", base, quote, is_trading=False)
    return {each.key: one for each, one in called}.get(new.key, new)


def _currencies(listed: Iterable[Instrument]) -> Mapping[str, str]:
    """Our name of each of the exchange's codes."""
    pairs = [pair for one in listed for pair in ((one.native_base, one.base), (one.native_quote, one.quote))]
    return {code: name for code, name in pairs if code}
