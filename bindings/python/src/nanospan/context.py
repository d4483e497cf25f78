# SPDX-License-Identifier: Apache-2.0
"""What is current, and how something else becomes so: OpenTelemetry's module of this name.

with context.attach(baggage.set_baggage("user", "ada")):
    client.get(url, headers=headers())
"""

from __future__ import annotations

import sys
import types

from nanospan._propagation import NOTHING, Context
from nanospan._span import INVALID_SPAN
from nanospan._tracer import Scope, _current, current_scope

__all__ = ["Context", "Token", "attach", "detach", "get_current"]


class Token:
    """What attach returns: for detach, or for `with`, which detaches at its end."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Token:
        return self

    def __exit__(self, *_: object) -> None:
        self._detach(sys._getframe(1))

    def _detach(self, block: types.FrameType) -> None:
        if _current.get() is self._scope:
            self._scope.__exit__(None, None, None)
        else:
            self._scope._leave(block)


def get_current() -> Context:
    """The current span with the current baggage."""
    scope = current_scope()
    if scope is None:
        return NOTHING
    span = scope.span if scope.span.has_context() else None
    return Context(None if scope.context is None else scope.context.carried, span)


def attach(context: Context) -> Token:
    """Makes a context current: spans begin below it, and requests take its baggage along, until it is detached."""
    if not issubclass(type(context), Context):
        context = get_current()
    span = INVALID_SPAN if context.span is None else context.span
    scope = Scope(span, context, record=False, status=False, end=False)
    scope.__enter__()
    return Token(scope)


def detach(token: Token) -> None:
    """Makes current what was so before attach."""
    if type(token) is Token:
        token._detach(sys._getframe(1))
