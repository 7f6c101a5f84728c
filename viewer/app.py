"""The web application over one open run: addresses to pages. It only reads.

Nothing of an address reaches the file system: static files are read once at the start, round
numbers and sample ids are looked up in what the run holds, and other runs are found by their exact
name in a listing. Made for `middo view`, which binds a socket and serves it.
"""

import logging
from collections.abc import Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..core.errors import DataError, MiddoError, UsageError
from ..inspection.record import Record
from .links import Served
from .pages.frame import error_frame
from .rendering import environment, render
from .routes import Page, pages, prepare
from .security import App, Door, Guard

_log = logging.getLogger(__name__)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(record: Record, door: Door) -> App:
    """Return the guarded application over an open run."""
    links = Served()
    # Once, after the first page.
    tasks = iter((BackgroundTask(prepare, record),))

    def page(make: Page) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                template, context = make(record, request)
                html = render(template, links, context)
                return HTMLResponse(html, background=next(tasks, None))
            except UsageError as error:
                # What an address asks for is not there; or a file of the run is broken.
                return refused(500 if isinstance(error, DataError) else 404, str(error))
            except MiddoError as error:
                return refused(500, str(error))
            except HTTPException:
                raise
            except Exception:
                # The only place where a page's failure is caught: the cause goes to the log.
                _log.exception("the page %s could not be made", request.url.path)
                return refused(500, "This page could not be made; the server's log says why.")

        return answer

    def refused(status: int, line: str) -> Response:
        context = {**error_frame(record), "status_code": status, "line": line}
        return HTMLResponse(render("error.html", links, context), status)

    def not_found(request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 500
        line = "There is no page at this address." if code == 404 else "This could not be answered."
        return refused(code, line)

    routes = [Route(path, page(make)) for path, make in pages().items()]
    routes.append(Route("/static/{name}", _static()))
    app = Starlette(routes=routes, exception_handlers={HTTPException: not_found})
    return Guard(app, door, _closed)


def _closed(status: int, line: str) -> Response:
    """Return the page for those who may not come in: it tells nothing of the run."""
    return HTMLResponse(environment().get_template("closed.html").render(line=line), status)


def _static() -> Callable[[Request], Response]:
    """Return the route of the shipped files, which are read now and never again."""
    held = {
        found.name: (found.read_bytes(), _TYPES[suffix])
        for found in files("middo.viewer").joinpath("static").iterdir()
        if (suffix := "." + found.name.rpartition(".")[2]) in _TYPES
    }

    def answer(request: Request) -> Response:
        found = held.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found[0], media_type=found[1])

    return answer
