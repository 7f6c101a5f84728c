"""What `provider:` can be on this machine: built in, shipped engines, plug-ins.

Nothing is imported: packages are looked for, entry points are read, keys are named and never read.
"""

import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

from ..core.config import TeacherConfig
from ..core.errors import MiddoError
from ..core.redaction import redact
from .resolve import hosts, plugins
from .vendors import VENDORS

Kind = Literal["engine", "vendor", "plugin"]

ENGINES = {
    "llamacpp": ("xllamacpp", 'pip install "middo[llamacpp]"'),
    "vllm": ("vllm", 'pip install "middo[vllm]"'),
}
"""Engines of Middo's own, in this process: their package, and the line that installs it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider.

    Attributes:
        name: what stands before the colon.
        kind: an engine in this process, a vendor through LangChain, or an installed plug-in.
        package: the module that it needs; for a plug-in the function that makes the model.
        installed: whether that module is found.
        install: the line that installs it.
        keys: environment variables of which one holds the key; empty where none is needed.
        keys_set: those that are set.
        host: where texts go if nothing else is configured.
    """

    name: str
    kind: Kind
    package: str
    installed: bool
    install: str | None
    keys: tuple[str, ...]
    keys_set: tuple[str, ...]
    host: str


def offers() -> list[Offer]:
    """Return every provider that a name can begin with; plug-ins first, as they are found first."""
    return [
        *(_plugged(point.name, point.value) for point in plugins()),
        *(_engine(name) for name in sorted(ENGINES)),
        *(_vendor(name) for name in sorted(VENDORS)),
    ]


def _plugged(name: str, value: str) -> Offer:
    module = value.partition(":")[0]
    host = f"wherever the plugin {value} sends them"
    return Offer(name, "plugin", value, _is_found(module), None, (), (), host)


def _engine(name: str) -> Offer:
    package, install = ENGINES[name]
    return Offer(name, "engine", package, _is_found(package), install, (), (), "this process")


def _vendor(name: str) -> Offer:
    vendor = VENDORS[name]
    try:
        host = hosts(TeacherConfig(model=f"{name}:any"))
    except MiddoError as error:  # a variable that holds no address
        host = redact(str(error))
    return Offer(
        name,
        "vendor",
        vendor.package,
        _is_found(vendor.package),
        vendor.install,
        vendor.keys,
        tuple(key for key in vendor.keys if os.environ.get(key)),
        host,
    )


def _is_found(module: str) -> bool:
    # The top-level name only: looking for a submodule would import the package around it.
    return importlib.util.find_spec(module.partition(".")[0]) is not None
