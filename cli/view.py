"""`middo view`: serve the pages of a run until Ctrl-C.

The address is the reply; serving begins after it is printed, so that a script can read it. The
browser is opened by a thread, since some take long to answer.
"""

import os
import sys
import threading
from pathlib import Path

from ..inspection.record import Record, open_record
from ..viewer.serving import Bound, bind, serve
from .output import Reply, clean, stdout_reserved


def view(folder: Path, host: str, port: int | None, *, opens: bool) -> Reply:
    """Return the address of the pages, and go on serving them after it is printed."""
    record = open_record(folder)
    bound = bind(host, port)
    document = {"url": bound.url, "run": record.name}
    line = f"{clean(record.name)}: {bound.url} (Ctrl-C ends)"
    return Reply(document, line, then=lambda: _serve(record, bound, opens=opens))


def _serve(record: Record, bound: Bound, *, opens: bool) -> Reply:
    def ready() -> None:
        if opens and _has_screen():
            threading.Thread(target=_open, args=(bound.url,), daemon=True).start()

    try:
        with stdout_reserved():
            serve(record, bound, ready)
    except KeyboardInterrupt:
        pass  # how it is meant to end
    finally:
        record.close()
    return Reply(None, "")


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _has_screen() -> bool:
    """Return whether a browser can have a window; one in this terminal would take it over."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
