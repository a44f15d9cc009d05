"""Pages of lists: GitLab's headers, by number and by keyset, and lists that move between two pages."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from penstock.testing.gitlab.ask import Answer, Ask, Refusal

T = TypeVar("T")
_LARGEST = 100


def page(ask: Ask, items: Sequence[T], shown: Callable[[T], Any]) -> Answer:
    """The asked page of `items`, with the headers and links of offset pagination.

    Where the fake was told that the list moves between pages, what stands on a later page is shifted: an item that
    came in repeats the last one of the page before, one that went away hides one.
    """
    number, size = max(ask.number("page", 1), 1), _size(ask)
    start = max((number - 1) * size - (ask.shift if number > 1 else 0), 0)
    chosen = items[start : start + size]
    total = len(items)
    pages = max(-(-total // size), 1)
    more = start + size < total
    links = {
        "prev": number - 1 if number > 1 else None,
        "next": number + 1 if more else None,
        "first": 1,
        "last": pages,
    }
    headers = {
        "x-page": str(number),
        "x-per-page": str(size),
        "x-prev-page": str(number - 1) if number > 1 else "",
        "x-next-page": str(number + 1) if more else "",
        "x-total": str(total),
        "x-total-pages": str(pages),
        "link": ", ".join(
            f'<{_url(ask, page=target, per_page=size)}>; rel="{name}"' for name, target in links.items() if target
        ),
    }
    return Answer(200, [shown(item) for item in chosen], headers)


def keyset_page(ask: Ask, items: Sequence[T], shown: Callable[[T], Any], key: Callable[[T], str]) -> Answer:
    """The page after the item whose key is `page_token`: no totals, and a link to the next page alone."""
    if ask.text("pagination") != "keyset":
        return page(ask, items, shown)
    size, token = _size(ask), ask.text("page_token")
    keys = [key(item) for item in items]
    start = keys.index(token) + 1 if token in keys else 0
    chosen = items[start : start + size]
    headers = {"x-per-page": str(size), "x-page": "", "x-next-page": ""}
    if start + size < len(items):
        headers["link"] = f'<{_url(ask, page_token=key(chosen[-1]), per_page=size)}>; rel="next"'
    return Answer(200, [shown(item) for item in chosen], headers)


def _size(ask: Ask) -> int:
    size = ask.number("per_page", 20)
    if size < 1:
        raise Refusal(400, {"error": "per_page does not have a valid value"})
    return min(size, _LARGEST)


def _url(ask: Ask, **changed: Any) -> str:
    query = {**ask.request.query, **{name: [str(value)] for name, value in changed.items()}}
    return f"{ask.state.url}/api/v4{ask.request.path}?{urlencode(query, doseq=True)}"
