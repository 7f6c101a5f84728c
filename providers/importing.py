"""`import:package.module:function` in a configuration: found without running it, then loaded."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from ..core.errors import ConfigError
from .failures import in_one_line


def find_function(target: str, what: str) -> tuple[str, str]:
    """Return module and name of a function that a configuration names; its module isn't run.

    Args:
        target: `package.module:function`.
        what: what the configuration calls it, for messages: `model`, `metric`.

    Raises:
        ConfigError: it is named in another way, or there is no such module.
    """
    module, colon, name = target.partition(":")
    if not colon or not module or not name.isidentifier():
        raise ConfigError(
            f"{what} 'import:{target}' is not `import:package.module:factory`; name the function"
            " too"
        )
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{what} 'import:{target}': {in_one_line(error)}") from error
    if found is None:
        raise ConfigError(
            f"{what} 'import:{target}': no module {module!r}; put its folder on PYTHONPATH"
        )
    return module, name


def load_function(target: str, what: str) -> Callable[..., Any]:
    """Import the module and return the function; arguments as `find_function`.

    Raises:
        ConfigError: as `find_function`; also where the module can't be imported or has no such
            function.
    """
    module, name = find_function(target, what)
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(f"{what} 'import:{target}': {in_one_line(error)}") from error
    if not callable(found):
        raise ConfigError(f"{what} 'import:{target}': {module!r} has no function {name!r}")
    loaded: Callable[..., Any] = found
    return loaded
