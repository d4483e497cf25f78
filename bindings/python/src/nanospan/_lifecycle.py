# SPDX-License-Identifier: Apache-2.0
"""Start, flush and stop."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from nanospan._library import available, ffi, lib, logger

_FLUSH_SECONDS = 1.0


def _log_level(level: str | int) -> int:
    """The level of the library's log for one of Python's."""
    number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    if not isinstance(number, int):
        logger.warning("log_level=%r is none of Python's levels; INFO is used", level)
        number = logging.INFO
    for limit, ours in ((logging.DEBUG, 4), (logging.INFO, 3), (logging.WARNING, 2), (logging.CRITICAL, 1)):
        if number <= limit:
            return ours
    return 0


def init_observability(
    service_name: str | None = None,
    log_level: str | int | None = None,
    enable_tracing: bool = True,
    *,
    service_version: str | None = None,
    environment: str | None = None,
    endpoint: str | None = None,
    sample_rate: float | None = None,
    exit_timeout: float | None = None,
) -> bool:
    """Starts tracing, and returns whether it is on. What is None comes from the environment (docs/configuration.md);
    ENABLE_TRACING=false there turns tracing off, whatever is said here. Never raises: what is wrong is logged, and the
    service goes on without tracing. exit_timeout: the longest that the flush takes when the process exits, in seconds."""
    if not enable_tracing or not available():
        return False
    try:
        return _start(
            service_name=service_name,
            log_level=log_level,
            service_version=service_version,
            environment=environment,
            endpoint=endpoint,
            sample_rate=sample_rate,
            exit_timeout=exit_timeout,
        )
    except Exception as problem:
        logger.warning("tracing is off: %s: %s", type(problem).__name__, problem)
        return False


def _start(*, log_level: str | int | None, exit_timeout: float | None, **members: Any) -> bool:
    config = ffi.new("nsp_config *")
    lib.nsp_config_init(config)
    keep = []  # what the configuration points to, until nsp_init has copied it
    for member, value in members.items():
        if value is None:
            continue
        if member != "sample_rate":
            value = ffi.new("char[]", str(value).encode())
            keep.append(value)
        setattr(config, member, value)
    if log_level is not None:
        config.log_level = _log_level(log_level)
        logger.setLevel(log_level.upper() if isinstance(log_level, str) and config.log_level else logging.INFO)
    if exit_timeout is not None:
        config.exit_timeout_ns = int(exit_timeout * 1e9)
    if "NSP_DETACHED_SPANS" not in os.environ:
        config.detached_spans = 4096  # all of Python's spans are detached, so a server has more of them open
    status = lib.nsp_init(config)
    if status == lib.NSP_ERR_ALREADY:
        return bool(config.enabled)
    if status != lib.NSP_OK:
        detail = ffi.string(lib.nsp_error_detail()) or ffi.string(lib.nsp_status_str(status))
        logger.warning("tracing is off: %s", detail.decode("utf-8", "replace"))
        return False
    _forks.started()
    return bool(config.enabled)


def _nanoseconds(timeout: float) -> int:
    return max(0, min(int(timeout * 1e9), 2**63))


def flush(timeout: float = _FLUSH_SECONDS) -> bool:
    """Sends what has ended so far; False if that took longer than `timeout` seconds. Nothing is lost then."""
    return lib is None or lib.nsp_flush(_nanoseconds(timeout)) != lib.NSP_ERR_TIMEOUT


def shutdown(timeout: float = _FLUSH_SECONDS) -> bool:
    """Sends what has ended, and stops tracing, within `timeout` seconds and a quarter. A process that exits does this
    by itself; one that ends otherwise (os._exit, a signal) has to call it, or flush."""
    return lib is None or lib.nsp_shutdown(_nanoseconds(timeout)) != lib.NSP_ERR_TIMEOUT


class _Forks:
    """A child of multiprocessing ends with os._exit, past the library's own flush, so it gets one of its own."""

    def __init__(self) -> None:
        self.known = False

    def before(self) -> None:
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self.known:
            self.known = True
            util.register_after_fork(self, self.flush_at_end)

    def started(self) -> None:
        """Tracing has been started in this process: perhaps in a child that was begun before this module was loaded."""
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            self.flush_at_end()

    def flush_at_end(self, *_: Any) -> None:
        sys.modules["multiprocessing.util"].Finalize(None, flush, exitpriority=-100)

    def register(self) -> None:
        os.register_at_fork(before=self.before, after_in_child=lib.nspy_forked)


_forks = _Forks()
if lib is not None:
    _forks.register()
