"""What every page has: template, language, theme, rights, the policy it is sent with, and errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from lyceum.app import guard
from lyceum.app.routes import Readers, readers_of
from lyceum.app.web import charts, static, words
from lyceum.core.errors import LyceumError
from lyceum.core.types import EVERYONE

NAV = {
    "ask": "/",
    "documents": "/documents",
    "xray": "/xray",
    "evaluate": "/evaluate",
    "operate": "/operate",
    "settings": "/settings",
}  # the pages of the navigation and where they are
THEMES = ("auto", "light", "dark")
THEME = "lyceum_theme"
YEAR = 31_536_000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # without it the Origin of a form is null, as a stranger's
    "Cache-Control": "private, no-cache",
}  # fmt: skip


@cache
def templates() -> Environment:
    """Return the templates; everything that is put into them is escaped."""
    made = Environment(
        loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, auto_reload=False,
    )  # fmt: skip
    made.globals.update(
        static=static.address, charts=charts, NAV=NAV, THEMES=THEMES, LANGUAGES=words.LANGUAGES
    )
    return made


class Page:
    """One request for a page: call it with a template and what that needs."""

    def __init__(self, request: Request, readers: frozenset[str]) -> None:
        self.request, self.readers = request, readers
        self.language = words.chosen(request)
        theme = request.query_params.get("theme") or request.cookies.get(THEME)
        self.theme = theme if theme in THEMES else THEMES[0]
        self.whose = ",".join(sorted(readers - {EVERYONE}))

    def __call__(self, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a template as a response; "ask.html" has the script "ask.js" and its words."""
        response = HTMLResponse(self.render(template, **facts), status, HEADERS)
        for cookie, name, value in ((words.COOKIE, "lang", self.language), (THEME, "theme", self.theme)):
            if name in self.request.query_params:
                response.set_cookie(cookie, value, YEAR, httponly=True, samesite="lax")
        return response

    def render(self, template: str, **facts: Any) -> str:
        """Return a template's text, a whole page or a part of one."""
        script = words.of_script(self.language, template.partition(".")[0])
        own = {
            "page": self,
            "t": self.say,
            "stage": self.stage,
            "duration": self.duration,
            "script_words": script,
        }
        return templates().get_template(template).render(**own, **facts)

    def say(self, key: str, **values: object) -> str:
        """Return the words for a key in the page's language."""
        return words.say(self.language, key, **values)

    def stage(self, name: str) -> str:
        """Return a span's name in words, as it is where there are none."""
        return words.table(self.language).get(f"stage.{name}", name)

    def duration(self, seconds: float) -> str:
        """Return a time in the unit that suits it."""
        return (
            self.say("time.ms", n=round(seconds * 1000))
            if seconds < 1
            else self.say("time.s", n=f"{seconds:.1f}")
        )

    def link(self, path: str, **asked: object) -> str:
        """Return an address of this server that keeps whose rights are used."""
        given = {"as": self.whose, **asked}
        query = urlencode({name: value for name, value in given.items() if value not in ("", None)})
        return f"{path}?{query}" if query else path

    def here(self, **changed: str) -> str:
        """Return this page's own address with something in its query changed."""
        url = self.request.url.include_query_params(**changed)
        return f"{url.path}?{url.query}"

    def problem(self, found: LyceumError) -> tuple[str, str]:
        """Return an error's message and hint in the page's language."""
        return words.problem(self.language, found)

    def failure(self, told: Mapping[str, str]) -> tuple[str, str]:
        """Return message and hint of a job's error."""
        return self.problem(LyceumError(told["message"], hint=told["hint"], code=told["code"]))

    @property
    def tag(self) -> str:
        """Return the language as HTML names it."""
        return words.LANGUAGES[self.language]


def page_of(request: Request, readers: Readers) -> Page:
    """Return the page of a request."""
    return Page(request, readers)


Paged = Annotated[Page, Depends(page_of)]


def refused(request: Request, problem: LyceumError) -> Response:
    """Return an error as a page to who reads pages (the login where that is missing), to programs as JSON."""
    path = request.url.path
    reads = "text/html" in request.headers.get("accept", "") and not path.startswith(("/api/", "/v1/"))
    if not reads:
        return guard.refused(problem)
    if problem.status == 401 and request.method == "GET":
        target = quote(f"{path}?{request.url.query}" if request.url.query else path, safe="")
        return RedirectResponse(f"/login?next={target}", 303)
    try:
        readers = readers_of(request.query_params.get("as", ""))
    except LyceumError:  # this may be what is told
        readers = frozenset()
    page = Page(request, readers)
    message, hint = page.problem(problem)
    if "route" not in request.scope and problem.status == 404:
        message, hint = page.say("error.no_page"), page.say("error.no_page_hint")
    return page("error.html", problem.status, problem=problem, message=message, hint=hint)
