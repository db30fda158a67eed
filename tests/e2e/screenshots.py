"""Screenshots of every page of a running Candlehouse: `python -m tests.e2e.screenshots URL FOLDER`."""

import asyncio
import sys
from pathlib import Path

from tests.fixtures.browser import DESKTOP, PHONE, browser_page

PAGES = {
    "chart": "/view/wschart",
    "analytics": "/view/analytics/general",
    "coverage": "/view/coverage",
    "status": "/view/status",
    "nowhere": "/view/nothing",
}


async def take(url: str, folder: Path) -> None:
    for name, path in PAGES.items():
        for size_name, size in (("desktop", DESKTOP), ("phone", PHONE)):
            for theme in ("dark", "light"):
                async with browser_page(size, theme) as seen:
                    await seen.page.goto(url.rstrip("/") + path)
                    if name == "chart":
                        await seen.page.locator("#widgets").scroll_into_view_if_needed()
                    await seen.until("[...document.querySelectorAll('.figure')].every(box => box.children.length)")
                    file = folder / f"{name}-{size_name}-{theme}.png"
                    await seen.page.screenshot(path=file, full_page=True)
                    print(file, *seen.complaints)


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    asyncio.run(take(sys.argv[1], Path(sys.argv[2])))
