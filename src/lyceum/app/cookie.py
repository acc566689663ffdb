"""A browser's session: a cookie that whoever showed the token gets, and whether a request may use it; keeps nothing.

The cookie holds a time and its HMAC under the token: another token, or the same one too late, does not know it.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

NAME = "lyceum_session"
SECONDS = 43_200
SAFE = frozenset(("GET", "HEAD"))


def signed(token: str, until: int) -> str:
    """Return the cookie's value for a session that ends at `until`."""
    mark = hmac.new(token.encode(), f"lyceum session {until}".encode(), hashlib.sha256).hexdigest()
    return f"{until}.{mark}"


def known(headers: Headers, method: str, token: str, now: float) -> bool:
    """Say whether a request comes with a session that holds; what changes something must come from a page of ours."""
    value = read(headers).get(NAME, "")
    until = value.partition(".")[0]
    if not (until.isascii() and until.isdecimal() and len(until) < 20):
        return False
    held = hmac.compare_digest(value.encode("utf-8", "replace"), signed(token, int(until)).encode())
    return held and int(until) > now and (method in SAFE or same_site(headers))


def same_site(headers: Headers) -> bool:
    """Say whether a browser sends this from a page of this server itself; what says nothing of it is no browser."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    return headers.get("origin", "").partition("://")[2].lower() == headers.get("host", "").lower() != ""


def read(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request, none of a header that cannot be read."""
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
