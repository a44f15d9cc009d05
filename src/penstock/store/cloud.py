"""An object store in a cloud: S3, Google Cloud Storage or Azure, by the library obstore.

Credentials and endpoints come from the environment, by each provider's usual names (AWS_*, GOOGLE_*, AZURE_*).
"""

import contextlib
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from penstock.errors import Unavailable
from penstock.store.object_name import checked_name
from penstock.store.objects import RELEASES, StoreUse

T = TypeVar("T")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
CONNECT = timedelta(seconds=5)
ANSWER = timedelta(seconds=20)
RETRIES = 3
GIVE_UP = timedelta(seconds=15)


class CloudStore:
    """The objects below an `s3://`, `gs://` or `az://` URL; whether a creation is exclusive is the server's doing."""

    def __init__(self, url: str, use: StoreUse = RELEASES) -> None:
        self.url = url.rstrip("/")
        self._use = use
        try:
            import obstore
            from obstore import store as kinds
        except ModuleNotFoundError:
            raise Unavailable(
                "the library for object stores is not installed", where=url, now="pip install 'penstock[objects]'"
            ) from None
        self._obstore = obstore
        endpoint = _endpoint()
        options: dict[str, Any] = {"timeout": ANSWER, "connect_timeout": CONNECT}
        if endpoint.startswith("http://"):
            if urlsplit(endpoint).hostname not in LOOPBACK:
                raise Unavailable(
                    "speaks http, which only this machine may", where=endpoint, now="give an https:// one"
                )
            options["allow_http"] = True
        retry: Any = {"max_retries": RETRIES, "retry_timeout": GIVE_UP}
        opened: Any = kinds.from_url
        self._store = self._ask("", lambda: opened(url, client_options=options, retry_config=retry))

    def get(self, name: str) -> bytes | None:
        """The whole object; None if there is none."""
        try:
            return self._ask(
                name, lambda: bytes(self._obstore.get(self._store, checked_name(name)).bytes()), reads=True
            )
        except FileNotFoundError:
            return None

    def create(self, name: str, data: bytes) -> bool:
        """Creates the object if there is none of that name; False if there is."""
        try:
            self._ask(name, lambda: self._obstore.put(self._store, checked_name(name), data, mode="create"))
        except FileExistsError:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """The names below a folder, sorted."""
        folder = checked_name(prefix.rstrip("/")) if prefix else None
        found = self._ask(prefix, lambda: self._obstore.list(self._store, prefix=folder).collect())
        return sorted(str(item["path"]) for item in found)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The names of the folders directly below a folder, sorted."""
        folder = checked_name(prefix.rstrip("/")) if prefix else None
        found = self._ask(prefix, lambda: self._obstore.list_with_delimiter(self._store, prefix=folder))
        return tuple(sorted(str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]))

    def delete(self, names: Iterable[str]) -> None:
        """Removes the objects; one that is not there is no fault."""
        paths = [checked_name(name) for name in names]
        if paths:
            with contextlib.suppress(FileNotFoundError):
                self._ask(paths[0], lambda: self._obstore.delete(self._store, paths), reads=True)

    def replace_hint(self, name: str, data: bytes) -> None:
        """Replaces the object whole."""
        self._ask(name, lambda: self._obstore.put(self._store, checked_name(name), data, mode="overwrite"))

    def _ask(self, name: str, question: Callable[[], T], *, reads: bool = False) -> T:
        from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError

        try:
            return question()
        except (FileNotFoundError, NotFoundError) as error:
            if not reads:
                raise self._unavailable(name, error) from None  # the bucket itself is missing
            raise FileNotFoundError(name) from None
        except (FileExistsError, AlreadyExistsError):
            raise FileExistsError(name) from None
        except (BaseError, OSError, ValueError) as error:
            raise self._unavailable(name, error) from None

    def _unavailable(self, name: str, error: Exception) -> Unavailable:
        words = str(error).strip().splitlines() or [type(error).__name__]
        return Unavailable(
            f"the {self._use.name} failed{f' at {name}' if name else ''}: {words[0]}",
            where=self.url,
            now="check the URL, the credentials in the environment and the network",
        )


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")
    return next((value for name in names if (value := os.environ.get(name))), "")
