"""Loaded by every Python that has this folder on PYTHONPATH: no socket may leave the machine.

Each process notes its command line, and each attempt to reach anything but a Unix socket, in the
file that NETWORK_LOG names; the attempt then fails.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

LOG = Path(os.environ["NETWORK_LOG"])


def note(kind: str, what: object) -> None:
    with LOG.open("a", encoding="utf-8") as file:
        file.write(f"{kind} {what}\n")


def refused(what: object) -> NoReturn:
    note("ATTEMPT", what)
    raise OSError(f"no network in this test: {what}")


def guarded(original: Any) -> Any:
    def call(self: socket.socket, *arguments: Any) -> Any:
        if self.family != socket.AF_UNIX:
            refused(arguments)
        return original(self, *arguments)

    return call


for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    setattr(socket, name, lambda *arguments, **_: refused(arguments))
note("STARTED", sys.orig_argv)
