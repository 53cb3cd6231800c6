"""Who may talk to the server: names it answers to, pages it trusts, and a token where others can reach it."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

COOKIE, QUERY = "brushcast_token", "token"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
# Nothing from elsewhere is loaded or may embed what can be changed.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Checks every request before anything else sees it.

    host: what the server is bound to. Bound to anything but loopback it needs a token: in the address (once, then a
    cookie keeps it), or in the header "Authorization: Bearer TOKEN".
    """

    def __init__(self, host: str) -> None:
        self.token = None if is_loopback(host) else secrets.token_urlsafe(18)
        # A page of another site can make a browser ask us under its own name (DNS rebinding): answered are names of
        # this machine and addresses only.
        self._host = host

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_our_name(_host_of(request.host)):
            raise web.HTTPForbidden(text="this server does not answer to that name")
        origin = request.headers.get("Origin")
        if origin is not None and _place_of(origin) != request.host:
            raise web.HTTPForbidden(text="pages of other sites may not control Brushcast")
        if not self._has_token(request):
            raise web.HTTPUnauthorized(text="open the address that Brushcast printed: it has the token")
        response = await handler(request)
        if not response.prepared and self.token is not None and QUERY in request.query:
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict")
        return response

    def _is_our_name(self, name: str) -> bool:
        if name in _LOCAL_NAMES or name == self._host:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.token is not None

    def _has_token(self, request: web.Request) -> bool:
        if self.token is None:
            return True
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = (request.query.get(QUERY), request.cookies.get(COOKIE), bearer if scheme == "Bearer" else None)
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given if one)


def _host_of(told: str) -> str:
    """The name in a Host header, without its port; "" for what is none."""
    try:
        return urlsplit(f"//{told}").hostname or ""
    except ValueError:  # half of an IPv6 address, say
        return ""


def _place_of(origin: str) -> str:
    """The name and the port in an Origin header; "" for what has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
