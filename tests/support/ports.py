# SPDX-License-Identifier: Apache-2.0
"""Ports of 127.0.0.1 that belong to this test program until it ends, although nothing listens on them."""
import atexit
import socket


def closed_port():
    """A port that refuses connections. A program of the test may come to listen on it, since those of this repository and
    Go's allow the reuse of addresses; the kernel gives it to nobody who leaves the choice of a port to it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    atexit.register(holder.close)
    return holder.getsockname()[1]
