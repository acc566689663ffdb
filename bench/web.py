"""What the pages weigh and how soon they can be used, in a real browser on loopback, beside a plain page.

Each opening has a browser context of its own, so nothing is cached; pages and the plain one (bench/web_plain.py) take
turns, forwards and backwards, and medians are compared. Ready: the page has loaded, scripts included, and painted, by
the browser's own clock. Click: from a click on a citation to the picture of its page with the words marked. Besides:
the server's memory with 50 streams open, and pages of a home with 10,000 documents. --quick: one round.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import common
import httpx
import numpy as np
from common import Figure

from tests.app.served import command, free_port, served
from tests.web.conftest import CHROMIUM, EXAMPLES, FEW, QUIET
from tests.web.standin import standin
from tests.web.test_documents import filled
from tests.web.test_evaluate import written

QUESTION = "How long does the battery of the PolarNode P7 last?"
STREAMS = 50
READY = """() => { const one = performance.getEntriesByType('navigation')[0],
  paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0;
  return { first: one.responseStart - one.requestStart, ready: Math.max(one.loadEventEnd, paint) } }"""
SHOWN = """() => [...document.querySelectorAll('#source img, #page img')].some(one => one.complete && one.width)
  && document.querySelector('#source .boxes rect, #page mark') !== null"""
Row = dict[str, float]


def opened(browser: Any, url: str, ask: bool = False) -> Row:
    """Open a page in a context of its own and return bytes, requests, and milliseconds to each moment."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, bypass_csp=True)
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    loaded: list[float] = []
    wire.on("Network.loadingFinished", lambda one: loaded.append(one["encodedDataLength"]))
    page.goto(url, wait_until="load")
    page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    row = {**page.evaluate(READY), "requests": len(loaded), "bytes": sum(loaded)}
    if ask:
        row["click"] = clicked(page)
    context.close()
    return row


def clicked(page: Any) -> float:
    """Return the milliseconds from a click on a citation to its page with the words marked."""
    if page.locator(".sources a").count() == 0:  # the plain page asks first
        page.click("#ask button")
    place = page.locator(".sources a, button.cite").first
    place.wait_for()
    began = time.perf_counter()
    place.click()
    page.wait_for_function(SHOWN, polling=5)
    return (time.perf_counter() - began) * 1000


def medians(rows: list[Row]) -> Row:
    """Return the median of each figure."""
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def compared(browser: Any, pages: dict[str, str], rounds: int) -> dict[str, Row]:
    """Open all pages in turns, forwards and backwards, once unmeasured; return their medians by name."""
    rows: dict[str, list[Row]] = {name: [] for name in pages}
    for number in range(rounds + 1):
        for name, url in list(pages.items())[:: -1 if number % 2 else 1]:
            row = opened(browser, url, ask=name in ("answer", "plain"))
            if number:
                rows[name].append(row)
    return {name: medians(some) for name, some in rows.items()}


@contextmanager
def plain() -> Iterator[str]:
    """Serve the plain page and yield its address."""
    port = free_port()
    run = (sys.executable, str(Path(__file__).with_name("web_plain.py")), str(EXAMPLES / FEW[0]), str(port))
    process = subprocess.Popen(run)
    try:
        for _ in range(200):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def resident(process: int) -> float:
    """Return the resident megabytes of a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


async def held(url: str, process: int) -> tuple[float, float]:
    """Return the megabytes of a server before, and while 50 answers are streaming from it."""
    limits = httpx.Limits(max_connections=STREAMS + 1)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, trust_env=False) as client:
        begun, enough = 0, asyncio.Event()

        async def ask(most: int) -> None:
            nonlocal begun
            async with client.stream("POST", "/ask", json={"question": QUESTION}) as response:
                async for line in response.aiter_lines():
                    if line.startswith("event: piece"):
                        begun += 1
                        if begun >= most:
                            enough.set()
                        await enough.wait()
                        break
                await asyncio.sleep(1.0)  # while the others are open too

        await ask(1)
        before, begun = resident(process), 0
        enough.clear()
        tasks = []
        for _ in range(STREAMS):  # one after the other: the stand-in takes few connections at once
            tasks.append(asyncio.create_task(ask(STREAMS)))
            await asyncio.sleep(0.05)
        await asyncio.wait_for(enough.wait(), 120)
        during = resident(process)
        await asyncio.gather(*tasks)
    return before, during


def streams(home: Path) -> tuple[float, float]:
    """Return what `held` does, of a server whose model writes slowly."""
    with standin() as model:
        model.pieces, model.pause = ["word "] * 400, 0.1
        given = {
            **model.environment(), "LYCEUM_SERVE__CONCURRENCY": "100", "LYCEUM_ENCODER__KIND": "none",
        }  # fmt: skip
        with served(home, **given) as server:
            return asyncio.run(held(server.url, server.process.pid))


def measured(folder: Path, quick: bool) -> dict[str, Any]:
    """Return the medians of every page, of the pages with 10,000 documents, and the memory of streams."""
    from playwright.sync_api import sync_playwright

    home, many = folder / "home", folder / "many"
    files = [str(EXAMPLES / name) for name in FEW[: 2 if quick else None]]
    assert command(["ingest", "--home", str(home), *files]).returncode == 0
    runs = [
        written(home, name, [n % 3 != at for n in range(300)], pipeline=name) for at, name in enumerate("ab")
    ]
    filled(many, 10_000)
    memory = streams(home)
    with (
        served(home) as server, served(many, LYCEUM_ENCODER__KIND="none") as large, plain() as other,
        sync_playwright() as driver,
    ):  # fmt: skip
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        paths = {
            "ask": "/", "answer": f"/?{urlencode({'q': QUESTION})}", "documents": "/documents",
            "xray": f"/xray?{urlencode({'q': QUESTION})}", "evaluate": "/evaluate", "run": f"/evaluate/run/{runs[0]}",
            "compare": f"/evaluate/compare?run={runs[0]}&run={runs[1]}", "operate": "/operate",
            "settings": "/settings",
        }  # fmt: skip
        pages = {name: server.url + path for name, path in paths.items()}
        pages |= {
            f"many {name}": large.url + paths[name] for name in ("ask", "documents", "operate", "settings")
        }
        found = compared(browser, {**pages, "plain": other}, 1 if quick else 9)
        browser.close()
    return {"pages": found, "memory": memory}


def main() -> None:
    """Measure, print a table, and compare with the targets."""
    options = common.arguments(__doc__)
    if not CHROMIUM:
        print("No Chromium: apt install chromium.")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.quick)
    pages: dict[str, Row] = found["pages"]
    print(f"{'page':16}{'kB':>8}{'requests':>10}{'first byte':>12}{'ready':>9}{'click':>9}  (ms)")
    for name, row in pages.items():
        click = f"{row['click']:9.0f}" if "click" in row else ""
        kilobytes = row["bytes"] / 1000
        print(
            f"{name:16}{kilobytes:8.1f}{row['requests']:10.0f}{row['first']:12.0f}{row['ready']:9.0f}{click}"
        )
    before, during = found["memory"]
    print(f"memory: {before:.0f} MB, {during:.0f} MB with {STREAMS} streams open")
    ask, other, many = pages["ask"], pages["plain"], pages["many documents"]
    heaviest = max(row["bytes"] for row in pages.values()) / 1000
    slowest = max(row["ready"] for name, row in pages.items() if name not in ("answer", "xray")) / 1000
    figures = [
        Figure("first_page_kb", ask["bytes"] / 1000, "< 150", ask["bytes"] < 150_000),
        Figure("ready_s", ask["ready"] / 1000, "< 1.2", ask["ready"] < 1200),
        Figure("ready_to_plain", ask["ready"] / other["ready"]),
        Figure("click_s", pages["answer"]["click"] / 1000),
        Figure("click_to_plain", pages["answer"]["click"] / other["click"]),
        Figure("heaviest_kb", heaviest, "< 150", heaviest < 150),
        Figure("slowest_s", slowest, "< 1.2", slowest < 1.2),
        Figure("many_documents_s", many["ready"] / 1000, "< 1.2", many["ready"] < 1200),
        Figure("stream_kb", (during - before) * 1000 / STREAMS, "< 1000", during - before < STREAMS),
    ]  # fmt: skip
    common.finish("web", figures, options, pages=json.loads(json.dumps(pages)), memory_mb=[before, during])


if __name__ == "__main__":
    main()
