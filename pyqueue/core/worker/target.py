"""Finding what a worker runs by its name: MODULE:NAME, as `python -m` would find the module."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from pyqueue.core.errors import ConfigError


def load(path: str) -> Any:
    """The object named `module:attribute`.

    Raises:
        ConfigError: the text is no such name, or there is nothing of this name.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"{path!r}; expected MODULE:NAME, such as shop.jobs:queue or shop.jobs:handle.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path!r}: {error}; looked in {os.getcwd()} and on sys.path.") from error
    except AttributeError as error:
        raise ConfigError(f"{path!r}: {error}; expected a function, a PyQueue or a Tasks of that module.") from error
    return found


def path_of(handler: Any) -> str:
    """Under which name a function can be imported elsewhere.

    Raises:
        ConfigError: under none: it is no function of a module, or that of the program that was started.
    """
    module, name = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)
    if not inspect.isfunction(handler) or not module or not name or module == "__main__" or "<" in name:
        raise ConfigError(
            "mode 'process' runs the jobs in processes of their own, which must import what they run; expected "
            "import_path='module:name' of the handler, the PyQueue or the Tasks, in a module that is not the program "
            "itself. As a command: pyqueue worker module:name --mode process."
        )
    return f"{module}:{name}"
