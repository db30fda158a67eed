"""Whether a database holds real or simulated candles: the first start decides, later ones must agree."""

from app.stores.database import Database
from app.stores.statements import sql
from common.errors import BadInput


async def claim(db: Database, kind: str) -> None:
    """Raise BadInput, naming MARKET, when the database is of the other kind; `kind` is real or simulated."""
    async with db.begin() as connection:
        held = await connection.fetchval(sql("market_kind_claim"), kind)
    if held != kind:
        sentence = f"The database holds {held} candles and MARKET is {kind}, which must not mix"
        raise BadInput("MARKET", f"{sentence}: start with a database of its own, or with MARKET={held}.", held)
