# SPDX-License-Identifier: Apache-2.0
"""What a server's spans say about a request: OpenTelemetry's semantic conventions for HTTP."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote_plus

from nanospan._span import Span

Scope = MutableMapping[str, Any]

METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"))

# What is set on a span has to fit into 2 KiB, and a client must not use up the application's share.
_TEXT, _PATH, _QUERY = 128, 256, 256

# Parameters whose values grant access.
_SECRETS = frozenset(
    """awsaccesskeyid signature sig x-goog-signature x-amz-signature x-amz-credential token access_token id_token
    refresh_token api_key apikey api-key client_secret secret password passwd x-amz-security-token auth authorization
    listenkey""".split()
)


def _match(routes: Iterable[Any], scope: Scope) -> tuple[int, str | None]:
    """How well a route matches a request (Starlette's 0: not, 1: but for the method, 2: fully), and its template."""
    partial: tuple[int, str | None] = (0, None)
    for route in routes:
        candidates = getattr(route, "effective_candidates", None)
        if candidates is not None:  # a router that FastAPI includes with a prefix, and keeps apart
            found = _match(candidates(), scope)
        else:
            route = getattr(route, "starlette_route", None) or route
            match, child = route.matches(scope)
            found = (match.value, getattr(route, "path", None))
            below = getattr(route, "routes", None)
            if match.value and below:  # an application that is mounted
                inner = _match(below, {**scope, **child})
                found = (match.value, (found[1] or "") + (inner[1] or ""))
        if found[0] == 2:
            return found
        if found[0] and not partial[0]:
            partial = found
    return partial


def route_of(routes: Iterable[Any], scope: Scope) -> str | None:
    """The template of the route that will handle a request (/signals/{symbol}), or that would with another method."""
    return _match(routes, dict(scope))[1]


def _cut(text: str, size: int) -> str:
    """As much of a text as has `size` bytes."""
    text = text[:size]
    return text if text.isascii() else text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def redacted(query: str) -> str:
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        parts.append(f"{name}=REDACTED" if equals and unquote_plus(name).lower() in _SECRETS else part)
    return "&".join(parts)


def describe(span: Span, scope: Scope, route: str | None) -> None:
    method = scope["method"]
    span.set_attribute("http.request.method", method if method in METHODS else "_OTHER")
    if method not in METHODS:
        span.set_attribute("http.request.method_original", _cut(method, _TEXT))
    if route is not None:
        span.set_attribute("http.route", route)
    span.set_attribute("url.path", _cut(scope["path"], _PATH))
    query = scope.get("query_string", b"")
    if query:
        # Cut first, so that a long one takes no time.
        span.set_attribute("url.query", _cut(redacted(query[:_QUERY].decode("latin-1")), _QUERY))
    scheme = scope.get("scheme", "http")
    span.set_attribute("url.scheme", scheme)
    host = agent = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"user-agent":
            agent = value.decode("latin-1")
    _describe_server(span, host, scope.get("server"), scheme)
    client = scope.get("client")
    if client and client[0]:
        span.set_attribute("client.address", client[0])
        span.set_attribute("network.peer.address", client[0])
        span.set_attribute("network.peer.port", client[1])
    span.set_attribute("network.protocol.version", scope.get("http_version", "1.1"))
    if agent:
        span.set_attribute("user_agent.original", _cut(agent, _TEXT))


def _describe_server(span: Span, host: str | None, server: Any, scheme: str) -> None:
    port: Any = None
    if host:
        name, colon, text = host.rpartition(":")
        if colon and text.isdecimal() and len(text) <= 5:  # not inside an IPv6 address, which ends with a bracket
            host, port = name, int(text)
        else:
            port = 443 if scheme == "https" else 80
    elif server:
        host, port = server
    if host:
        span.set_attribute("server.address", _cut(host.strip("[]"), _TEXT))
    if port:
        span.set_attribute("server.port", port)
