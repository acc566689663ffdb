"""A real server over a few of the example documents, and a real browser that notes all it loads, says and asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.served import Server, command, served

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
FEW = (
    "sensor-product-guide.pdf", "employee-handbook-zh.pdf", "price-list-2026.xlsx", "travel-policy-v1.docx",
    "travel-policy-v2.docx", "driver-training-slides.pptx", "support-faq.html", "onboarding-guide.md",
)  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip
OPEN = """open => document.querySelectorAll(open ? 'details:not([open])' : 'details[data-tried]').forEach(one => {
  one.open = open; one.toggleAttribute('data-tried', open) })"""
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 800}


class Watched:
    """A page of a browser of its own, with every request to another host, every dialog and error noted."""

    def __init__(self, browser: object, url: str, **options: object) -> None:
        self.url = url
        self.context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})  # type: ignore[attr-defined]
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._requested)
        self.page.on("dialog", lambda one: (self.dialogs.append(one.message), one.dismiss()))
        self.page.on("pageerror", lambda one: self.errors.append(str(one)))
        self.page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)

    def _requested(self, request: object) -> None:
        address = str(request.url)  # type: ignore[attr-defined]
        if not address.startswith((self.url, "data:")):
            self.foreign.append(address)

    def open(self, path: str = "/") -> object:
        """Open a page of the server and return it."""
        self.page.goto(self.url + path)
        return self.page

    def clean(self) -> None:
        """Fail unless nothing left the page, nothing asked, and nothing went wrong in it."""
        assert (self.foreign, self.dialogs, self.errors) == ([], [], [])


Open = Callable[..., Watched]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds a few of the example documents, and two that disagree."""
    home = tmp_path_factory.mktemp("web") / "home"
    fees = [home.parent / "harbour-fees.txt", home.parent / "tenants-letter.txt"]
    for file, fee in zip(fees, (12, 15), strict=True):
        file.write_text(f"The mooring fee at Pier 9 is {fee} guilders a day.\n", encoding="utf-8")
    paths = [*(str(EXAMPLES / name) for name in FEW), *map(str, fees)]
    assert command(["ingest", "--home", str(home), *paths]).returncode == 0
    return home


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[Server]:
    """A `lyceum serve` process over that home, with one document more that only hr may read."""
    with served(home) as running:
        secret = {"file": ("salaries.txt", b"The salary of the harbour master is 91,000 guilders a year.")}
        sent = httpx.post(
            f"{running.url}/api/documents", files=secret, data={"readers": "hr"}, trust_env=False
        )
        assert sent.status_code == 201
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Debian's Chromium, driven by playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'lyceum[dev]'")
    if not CHROMIUM:
        pytest.skip("no Chromium: apt install chromium")
    with driver.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture
def watched(browser: object, server: Server) -> Iterator[Open]:
    """Make watched pages of the server; `url` is another server's."""
    made: list[Watched] = []

    def make(url: str = "", **options: object) -> Watched:
        made.append(Watched(browser, url or server.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


def seriously(page: object) -> list[str]:
    """Return what axe-core finds serious or critical on a page, the menu and details opened."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install 'lyceum[dev]'"
    )
    page.evaluate(OPEN, True)  # type: ignore[attr-defined]
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = axe.Axe().run(page, options={"runOnly": tags}).response["violations"]
    page.evaluate(OPEN, False)  # type: ignore[attr-defined]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip
