"""The way in where the server has a token: who shows it gets a session cookie, until it ends or is given back."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from lyceum.app import cookie
from lyceum.app.web.frame import Paged

router = APIRouter(include_in_schema=False)
WRONG_SECONDS = 0.5  # before the answer to a wrong token


def inside(target: str) -> str:
    """Return where to go on, never to another server."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if plain and target.isprintable() else "/"


@router.get("/login")
async def show_login(page: Paged, next: str = "/") -> Response:
    """Ask for the token."""
    return page("login.html", target=inside(next), wrong=False)


@router.post("/login")
async def log_in(
    request: Request, page: Paged, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Take the token and open a session."""
    held: str = request.app.state.token
    if not held or not cookie.same_site(request.headers) or not _equal(token.strip(), held):
        await asyncio.sleep(WRONG_SECONDS)
        return page("login.html", 401, target=inside(next), wrong=True)
    response = RedirectResponse(inside(next), 303)
    value = cookie.signed(held, int(time.time()) + cookie.SECONDS)
    response.set_cookie(cookie.NAME, value, cookie.SECONDS, httponly=True, samesite="strict")
    return response


@router.post("/logout")
async def log_out() -> Response:
    """End the session of this browser."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie.NAME, httponly=True, samesite="strict")
    return response


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
