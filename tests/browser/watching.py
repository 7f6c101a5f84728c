"""A browser's page under watch: what it says, asks for and fails at is noted and then judged."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, Route, ViewportSize

WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 360, "height": 740}
Look = tuple[ViewportSize, Literal["light", "dark"]]
LOOKS: list[Look] = [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")]
"""The first and the last of them show both sizes and both themes."""


@dataclass
class Watched:
    """A page, and what happened on it; `origin` is what all its addresses begin with."""

    page: Page
    origin: str
    events: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> None:
        """Open an address of the origin and wait until it is loaded."""
        self.page.goto(self.origin + path)

    def trouble(self) -> list[str]:
        """Return what went wrong since the last time, and what a hostile sample did."""
        found, self.events = self.events, []
        if self.page.evaluate("window.hacked"):
            found.append("a script of a sample ran")
        strange = "main :is(script:not([type='application/json']), iframe, img, object, b, base)"
        return [*found, *(f"injected {tag}" for tag in self.tags(strange))]

    def tags(self, selector: str) -> list[str]:
        """Return the names of the elements that a selector finds."""
        script = "elements => elements.map(element => element.tagName)"
        names: list[str] = self.page.eval_on_selector_all(selector, script)
        return names

    def violations(self) -> list[str]:
        """Return what axe finds wrong, with all of its rules."""
        # Without preloading, which would fetch the style sheets once more.
        found = Axe().run(self.page, options={"preload": False}).response["violations"]
        return [
            f"{rule['id']}: {rule['help']} ({node['target']} {node['failureSummary']})"
            for rule in found
            for node in rule["nodes"][:3]
        ]

    def sideways(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))


@contextmanager
def watched(browser: Browser, origin: str, **options: Any) -> Iterator[Watched]:
    """Open a new browser profile whose page may reach one origin and nothing else."""
    context = browser.new_context(viewport=WIDE, **options)
    try:
        page = context.new_page()
        seen = Watched(page, origin)

        def guard(route: Route, request: Request) -> None:
            if request.url.startswith(origin) and not urlsplit(request.url).username:
                route.continue_()
            else:
                seen.events.append(f"asked for {request.url}")
                route.abort()

        context.route("**/*", guard)
        page.on("console", lambda line: seen.events.append(f"console {line.type}: {line.text}"))
        page.on("pageerror", lambda error: seen.events.append(f"error: {error}"))
        page.on(
            "requestfailed",
            # A search that a newer one has overtaken is called off.
            lambda it: (
                seen.events.append(f"failed {it.url}: {it.failure}")
                if it.failure != "net::ERR_ABORTED"
                else None
            ),
        )
        page.on("popup", lambda other: seen.events.append(f"opened {other.url}"))

        def dialog(box: Any) -> None:
            seen.events.append(f"dialog: {box.message}")
            box.dismiss()

        page.on("dialog", dialog)
        page.on(
            "response",
            lambda it: seen.events.append(f"{it.status} {it.url}") if it.status >= 400 else None,
        )
        yield seen
    finally:
        context.close()


def every_look(seen: Watched, path: str, looks: Sequence[Look] = LOOKS) -> list[str]:
    """Return what is wrong with a page in both themes, on a laptop and on a phone."""
    wrong = []
    for size, theme in looks:
        seen.page.set_viewport_size(size)
        seen.page.emulate_media(color_scheme=theme)
        seen.open(path)
        look = f"{path or '/'} {theme} {size['width']}"
        wrong += [f"{look}: {line}" for line in (*seen.trouble(), *seen.violations())]
        if seen.sideways() > 0:
            wrong.append(f"{look}: {seen.sideways()} px too wide")
    return wrong
