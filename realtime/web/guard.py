"""Who may talk to the server: names it answers to, pages it trusts, and a token where others can reach it."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from realtime.web import checked_token

COOKIE, QUERY = "brushcast_token", "token"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
# Nothing from elsewhere is loaded, and no page from elsewhere may embed what can be changed, or show the paintings.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
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


def reachable(host: str) -> str:
    """How others call this machine where it is bound to `host`: for "all addresses" the one in its network, if any."""
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            return host
    except ValueError:
        return host
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # chooses the way there, and sends nothing
            return str(probe.getsockname()[0])
    except OSError:  # no network
        return socket.gethostname()


class Guard:
    """Checks every request before anything else sees it.

    host: what the server is bound to. Bound to anything but loopback it needs a token: in the address (once, then a
    cookie keeps it), or in the header "Authorization: Bearer TOKEN". token: the one to take, which stays the same from
    start to start; else there is a new one every time where one is needed. Raises InputError: it can be none.
    """

    def __init__(self, host: str, token: str | None = None) -> None:
        self.token = None if is_loopback(host) else secrets.token_urlsafe(18)
        if token is not None:
            self.token = checked_token(token)
        # A page of another site can make a browser ask us under its own name (DNS rebinding): answered are names of
        # this machine and addresses only.
        machine = socket.gethostname().lower()
        self._names = {*_LOCAL_NAMES, host.lower(), *((machine, f"{machine}.local") if self.token else ())}

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
            response.set_cookie(_cookie_of(request.host), self.token, httponly=True, samesite="Strict")
        return response

    def _is_our_name(self, name: str) -> bool:
        if name in self._names:
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
        kept = request.cookies.get(_cookie_of(request.host))
        given = (request.query.get(QUERY), kept, bearer if scheme == "Bearer" else None)
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given if one)


def _cookie_of(host: str) -> str:
    """The cookie's name at a Host header. Browsers send a cookie to all ports of a host: each has one of its own."""
    port = host.rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isascii() and port.isdecimal() else COOKIE


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
