"""What a fetch would ask for, in words and for programs."""

from collections.abc import Sequence

from app import wiring
from app.jobs.outlook import Outlook, look_ahead
from app.stores.symbols import StoredSymbol
from common.ports import Exchange
from common.span import Span
from scripts.commands.desk import Desk
from scripts.commands.progress import Display, counted, duration


async def foretell(
    desk: Desk, exchange: Exchange, chosen: Sequence[StoredSymbol], span: Span, shown: Display
) -> int:
    """Say what a fetch of these markets would ask for; nothing is planned. The exit status."""
    missing = await desk.stores.plan.missing([one.id for one in chosen], span)
    outlook = look_ahead(
        exchange,
        {one.id: one.instrument for one in chosen},
        missing,
        now_ms=desk.clock.now_ms(),
        weight_per_minute=wiring.budget_weight(desk.settings, exchange.name),
    )
    sentence = _sentence(exchange, outlook, len(chosen))
    shown.say(sentence, exchange=exchange.name, **outlook._asdict(), eta_s=round(outlook.seconds))
    return 0


def _sentence(exchange: Exchange, outlook: Outlook, markets: int) -> str:
    if not outlook.pages:
        return f"Already complete: {counted(markets, 'market')} of {exchange.name}; nothing would be asked for."
    limit = f"{outlook.weight_per_minute:,} of {exchange.limits.weight_per_minute:,} weight a minute"
    return (
        f"{counted(outlook.symbols, 'market')} of {exchange.name}: {counted(outlook.pages, 'page')} with as many"
        f" requests (weight {outlook.weight:,}), at most {counted(outlook.rows, 'row')},"
        f" about {duration(outlook.seconds)} at the allowed rate ({limit}). Nothing was planned."
    )
