"""Lets batching clients go together, at the pace that each asked for."""

import asyncio

from web.live.client import Client

#: Clients woken one after another before others have their turn.
AT_A_TIME = 100


class Pulses:
    """One task for each pace in use."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._clients: dict[int, dict[Client, None]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    def set(self, client: Client) -> None:
        """At the pace of its options from now on."""
        self.remove(client)
        if pause_ms := client.options.pause_ms:
            self._clients.setdefault(pause_ms, {})[client] = None
            if pause_ms not in self._running:
                self._running[pause_ms] = self._tasks.create_task(self._beat(pause_ms), name="let clients go")

    def remove(self, client: Client) -> None:
        for clients in self._clients.values():
            clients.pop(client, None)

    def stop(self) -> None:
        for task in self._running.values():
            task.cancel()

    async def _beat(self, pause_ms: int) -> None:
        clients = self._clients[pause_ms]
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while clients:
            next_s = max(next_s + pause_ms / 1000, loop.time())
            await asyncio.sleep(next_s - loop.time())
            for number, client in enumerate([*clients], 1):
                client.flush()
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
        del self._clients[pause_ms], self._running[pause_ms]
