# SPDX-License-Identifier: Apache-2.0
"""Start, flush and stop."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from nanospan._library import available, ffi, lib, logger, text_of, trouble
from nanospan._values import encoded

_FLUSH_SECONDS = 1.0
_LONGEST_SECONDS = 1e9

# What init_observability was given, so that a second call that says something else is noticed. None: it was not called.
_given: dict[str, Any] | None = None

# Was tracing started here, has rest() ended the session since, and has it ever done so?
_started = _resting = _rested = False
# Held while rest() or resumed() changes that. The handler of a signal may begin a span meanwhile, on the same thread.
_turns = threading.RLock()

_ON, _OFF = frozenset(("", "true", "1", "yes", "on")), frozenset(("false", "0", "no", "off"))


def _is_on(value: object) -> bool:
    """enable_tracing, also as the text of a variable: "false" is true for Python, but not for who wrote it."""
    if not isinstance(value, str):
        return value is None or bool(value)
    text = value.strip().lower()
    if text not in _ON and text not in _OFF:
        logger.warning("enable_tracing: %r is not accepted; accepted: true or false; used instead: true", value)
    return text not in _OFF


def _level(level: str | int) -> int:
    """Python's number of a level."""
    number = logging.getLevelName(level.strip().upper()) if isinstance(level, str) else level
    if not isinstance(number, int):
        logger.warning("log_level: %r is not accepted; accepted: DEBUG, INFO, WARNING ...; used instead: INFO", level)
        return logging.INFO
    return number


def _level_of_c(number: int) -> int:
    """The level of the library's log for one of Python's."""
    for limit, ours in ((logging.DEBUG, 4), (logging.INFO, 3), (logging.WARNING, 2), (logging.CRITICAL, 1)):
        if number <= limit:
            return ours
    return 0


def _number(name: str, value: Any, highest: int, unit: str = "") -> float:
    try:
        number = float(value)
        if 0 <= number <= highest:
            return number
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name}: {value!r} is not accepted; accepted: 0 to {highest}{unit}")


def init_observability(
    service_name: str | None = None,
    log_level: str | int | None = None,
    enable_tracing: bool | str = True,
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
    global _given, _started, _resting
    arguments: dict[str, Any] = {
        "service_name": service_name,
        "log_level": log_level,
        "service_version": service_version,
        "environment": environment,
        "endpoint": endpoint,
        "sample_rate": sample_rate,
        "exit_timeout": exit_timeout,
    }
    before, given = _given or {}, {name: value for name, value in arguments.items() if value is not None}
    if _given is None:
        _given = {}
    try:
        if log_level is not None:
            given["log_level"] = level = _level(log_level)
            logger.setLevel(level)
        if not _is_on(enable_tracing):
            logger.info("tracing is turned off by enable_tracing")
            return False
        if not available():
            return False
        keep: list[Any] = []  # what the configuration points to, until nsp_init has copied it
        config = _config(given, keep)
        status = lib.nsp_init(config)
        if status == lib.NSP_ERR_ALREADY:
            ignored = [f"{name}={value!r}" for name, value in given.items() if before.get(name) != value]
            if ignored:
                logger.warning("tracing has been started before, so this is ignored: %s", ", ".join(ignored))
        elif status == lib.NSP_OK:
            _given, _started, _resting = given, True, False
            _forks.started()
        else:
            detail = ffi.string(lib.nsp_error_detail()) or ffi.string(lib.nsp_status_str(status))
            logger.warning("tracing is off: %s", detail.decode("utf-8", "replace"))
            return False
        return bool(config.enabled)
    except ValueError as problem:
        logger.warning("tracing is off: %s", problem)
    except Exception as problem:
        logger.warning("tracing is off: %s: %s", type(problem).__name__, problem)
    return False


def _config(given: dict[str, Any], keep: list[Any]) -> Any:
    """What is given, above what the environment says."""
    config = ffi.new("nsp_config *")
    lib.nsp_config_init(config)
    for name, value in given.items():
        if name == "log_level":
            config.log_level = _level_of_c(value)
        elif name == "exit_timeout":
            config.exit_timeout_ns = _nanoseconds(_number(name, value, 3600, " seconds"))
        elif name == "sample_rate":
            config.sample_rate = _number(name, value, 1)
        else:
            keep.append(ffi.new("char[]", encoded(text_of(value))))
            setattr(config, name, keep[-1])
    if "NSP_DETACHED_SPANS" not in os.environ:
        config.detached_spans = 4096  # all of Python's spans are detached, so a server has more of them open
    return config


def warn_if_forgotten() -> None:
    """A request is to be traced: has nobody started that? C code of the same process may have."""
    global _given
    if _given is not None or not available():
        return
    _given = {}  # so that this is said once
    if _stats() is None:
        logger.warning("requests are not traced, because init_observability was not called")


def _nanoseconds(timeout: float) -> int:
    try:
        return int(max(0.0, min(float(timeout), _LONGEST_SECONDS)) * 1e9)  # NaN becomes 0
    except Exception:
        trouble(f"a time-out of type {type(timeout).__name__}")
        return int(_FLUSH_SECONDS * 1e9)


def flush(timeout: float = _FLUSH_SECONDS) -> bool:
    """Sends what has ended so far; False if that took longer than `timeout` seconds. Nothing is lost then."""
    return lib is None or lib.nsp_flush(_nanoseconds(timeout)) != lib.NSP_ERR_TIMEOUT


def shutdown(timeout: float = _FLUSH_SECONDS) -> bool:
    """Sends what has ended, and stops tracing, within `timeout` seconds and a quarter. A process that exits does this
    by itself; one that ends otherwise (os._exit, a signal) has to call it, or flush."""
    global _resting, _rested
    _resting = _rested = False
    return lib is None or lib.nsp_shutdown(_nanoseconds(timeout)) != lib.NSP_ERR_TIMEOUT


def rest(timeout: float) -> None:
    """An application has come to its end, after which a signal may end the process. What is left is sent. If that is all,
    the session ends too, or it would stay in shared memory as that of a crash. A span that begins later starts it anew."""
    global _resting, _rested
    if not flush(timeout) or not _started:
        return
    with _turns:
        stats = None if _resting else _stats()
        if stats is not None and stats.open == stats.in_rings == stats.in_batches == 0:
            _resting = _rested = True  # before, so that a span that begins meanwhile waits for the end and starts anew
            lib.nsp_shutdown(_nanoseconds(timeout))


def resumed() -> bool:
    """A span could not begin: because of rest()? Then tracing is on again, by this thread or by one that was faster."""
    global _resting, _rested
    if not _rested:
        return False
    with _turns:
        if _resting:
            keep: list[Any] = []
            status = lib.nsp_init(_config(_given or {}, keep))
            _resting, _rested = False, status in (lib.NSP_OK, lib.NSP_ERR_ALREADY)
        return _rested


def _stats() -> Any:
    """The library's counters, or None if tracing was never started."""
    stats = ffi.new("nsp_stats *")
    stats.size = ffi.sizeof("nsp_stats")
    return stats if lib.nsp_stats_get(stats) == lib.NSP_OK else None


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

    def in_child(self) -> None:
        global _turns
        lib.nspy_forked()
        _turns = threading.RLock()  # a thread of the parent may have it

    def register(self) -> None:
        os.register_at_fork(before=self.before, after_in_child=self.in_child)


_forks = _Forks()
if lib is not None:
    _forks.register()
