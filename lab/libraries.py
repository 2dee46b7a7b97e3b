"""Libraries that not every command needs: the brokers' clients, a Java.

Each is imported when it is first used. So a broker's demo needs that broker's client
only, and no command waits for the import of others.
"""

import importlib.util
from functools import cached_property
from types import ModuleType
from typing import Any

from lab.broker import Unavailable


class MissingError(Unavailable):
    """A library that is not installed here."""


class Library:
    """Stands in for a module: ``pika = Library("pika", "rabbitmq")``.

    Where the library is not installed, its first use raises MissingError, which says
    what ``lab.install`` has to be told to install it.
    """

    def __init__(self, module: str, installed_for: str):
        self._name = module
        self._installed_for = installed_for

    def require(self) -> None:
        """Raises MissingError, before anything has been done in vain."""
        library = self._name.partition(".")[0]
        found = importlib.util.find_spec(library)
        # A folder of ours that has the library's name is found, too: without an origin.
        if found is None or found.origin is None:
            raise MissingError(
                f"the library {library} is not installed here. "
                f"Install: python -m lab.install {self._installed_for}"
            )

    @cached_property
    def _module(self) -> ModuleType:
        self.require()
        return importlib.import_module(self._name)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._module, attribute)
