"""One small registry type for gates, runtime adapters and tool kinds.

Built-ins register by decorator; third parties come by entry point. A name that is taken twice is an error that
names both places.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from penstock.errors import NotFound, PenstockError
from penstock.garbage import no_collection

T = TypeVar("T")


class Plugins(Generic[T]):
    """Named things of one noun (`gate`, `runtime`), in the order of their names.

    `group` is the entry-point group in which packages offer more of them; entry points are imported only when
    their name is asked for.
    """

    def __init__(self, noun: str, group: str) -> None:
        self.noun = noun
        self.group = group
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: makes what it decorates known as `name`; raises `PenstockError` if the name is taken."""

        def remember(thing: T) -> T:
            taken = self._known.get(name)
            if taken is not None and taken is not thing:
                raise PenstockError(
                    f"{self.noun} {name!r} is declared twice: by {_place(taken)} and by {_place(thing)}",
                    now="rename one of them",
                )
            self._known[name] = thing
            return thing

        return remember

    def get(self, name: str) -> T:
        """The thing of that name, loaded from its entry point if need be; raises `NotFound` with the names known."""
        if name not in self._known:
            offers = [entry for entry in entry_points(group=self.group) if entry.name == name]
            if len(offers) > 1:
                places = " and by ".join(entry.value for entry in offers)
                raise PenstockError(f"{self.noun} {name!r} is offered twice: by {places}", now="remove one package")
            if offers:
                with no_collection():
                    found: T = offers[0].load()
                self.register(name)(found)
        if name not in self._known:
            raise NotFound(f"no {self.noun} {name!r}", now=f"known: {', '.join(self) or 'none'}")
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        offered = {entry.name for entry in entry_points(group=self.group)}
        return iter(sorted(offered | self._known.keys()))

    def __contains__(self, name: object) -> bool:
        return name in set(self)


def _place(thing: object) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"
