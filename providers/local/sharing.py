"""Engines that hold a model in memory, each shared by the chat models that want the same one."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What holds memory until it is closed."""

    def close(self) -> None:
        """Free it."""
        ...


Key = TypeVar("Key")
Engine = TypeVar("Engine", bound=Closable)


class Shared(Generic[Key, Engine]):
    """Engines by what they are made from; one is closed when its last user leaves."""

    def __init__(self, make: Callable[[Key], Engine]) -> None:
        """Remember how an engine is made."""
        self._make = make
        self._engines: dict[Key, tuple[Engine, int]] = {}
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        """True while somebody uses such an engine."""
        with self._lock:
            return key in self._engines

    def acquire(self, key: Key) -> Engine:
        """Return the engine, made now if nobody uses one."""
        with self._lock:
            engine, users = self._engines.get(key) or (self._make(key), 0)
            self._engines[key] = (engine, users + 1)
            return engine

    def release(self, key: Key) -> None:
        """Leave the engine; the last user closes it."""
        with self._lock:
            engine, users = self._engines[key]
            if users > 1:
                self._engines[key] = (engine, users - 1)
                return
            del self._engines[key]
        engine.close()


class Lease(Generic[Key, Engine]):
    """One user's hold of a shared engine, taken when it is first needed."""

    def __init__(self, shared: Shared[Key, Engine], key: Key) -> None:
        """Remember which; nothing is made yet."""
        self.key = key
        self._shared = shared
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def open(self) -> Engine:
        """Return the engine."""
        with self._lock:
            if self._engine is None:
                self._engine = self._shared.acquire(self.key)
            return self._engine

    def close(self) -> None:
        """Leave the engine, if it is held; `open` takes it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            self._shared.release(self.key)
