"""Lists that a server gives page by page: all of it, or an error; never a part, never for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from m2g.core.errors import OutsideError
from m2g.registry.api_types import Page
from m2g.registry.errors import ErrorResponse
from m2g.registry.rest import API, Request, RestClient

_MAX_PAGES = 10_000
_P = TypeVar("_P", bound=Page)
_I = TypeVar("_I")


class Listing(msgspec.Struct, Generic[_P, _I], frozen=True, kw_only=True):
    """A list of the API: `path`, what a page decodes to, its items and their key.

    `sizes` are page sizes to try in turn: how large a page may be is each server's own affair.
    """

    path: str
    kind: type[_P]
    sizes: tuple[int, ...]
    items: Callable[[_P], Sequence[_I]]
    key: Callable[[_I], object]


def list_all(
    rest: RestClient,
    listing: Listing[_P, _I],
    query: Mapping[str, str | int] | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> list[_I]:
    """All items of a list, each key once (MLflow pages by offset, while rows come and go).

    `tell` hears how many there are so far. Raises OutsideError where the server leads in a circle.
    """
    listed: dict[object, _I] = {}
    for page in _pages(rest, listing, query or {}):
        found = {listing.key(item): item for item in listing.items(page)}
        if page.next_page_token and found and found.keys() <= listed.keys():
            raise _circle(listing.path)
        listed |= found
        tell(len(listed))
    return list(listed.values())


def _pages(rest: RestClient, listing: Listing[_P, _I], query: Mapping[str, str | int]) -> Iterator[_P]:
    size, page = _first(rest, listing, query)
    seen = {""}
    for _ in range(_MAX_PAGES):
        yield page
        token = page.next_page_token
        if not token:
            return
        if token in seen:
            break
        seen.add(token)
        call = Request(path=API + listing.path, query={**query, "max_results": size, "page_token": token})
        page = rest.get_json(call, listing.kind)
    raise _circle(listing.path)


def _first(rest: RestClient, listing: Listing[_P, _I], query: Mapping[str, str | int]) -> tuple[int, _P]:
    for size in listing.sizes:
        call = Request(path=API + listing.path, query={**query, "max_results": size})
        try:
            return size, rest.get_json(call, listing.kind)
        except ErrorResponse as refused:
            if refused.status != 400 or size == listing.sizes[-1]:
                raise
    raise ValueError("a listing without page sizes")


def _circle(path: str) -> OutsideError:
    return OutsideError(
        f"the server's list {path} goes in a circle, so that it is not known to be complete",
        hint="is there a proxy that drops or caches the query (page_token)?",
    )
