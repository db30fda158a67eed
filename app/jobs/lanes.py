"""Works that stand and fall together, and whose failure is told as if there were one."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as several:
        raise first(several) from several


def first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """What stopped them."""
    one = several.exceptions[0]
    return first(one) if isinstance(one, BaseExceptionGroup) else one
