"""Read lists that a server returns in pages: the complete list or an error, never a part, and never an endless loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from m2g.core.errors import OutsideError
from m2g.registry.api_types import Page
from m2g.registry.errors import ErrorResponse
from m2g.registry.rest import API, Request, RestClient

_MAX_PAGES = 10_000
_MAX_BYTES = 512 << 20
"""Bytes of all pages of a list: 100,000 versions with two KiB of tags have 200 MB."""
_MAX_SECONDS = 900.0
_P = TypeVar("_P", bound=Page)
_I = TypeVar("_I")


class Listing(msgspec.Struct, Generic[_P, _I], frozen=True, kw_only=True):
    """A list of the API: its `path`, the type of a page, the items of a page and the key of an item.

    `sizes` are page sizes to try in turn, because the maximum depends on the server.
    """

    path: str
    kind: type[_P]
    sizes: tuple[int, ...]
    items: Callable[[_P], Sequence[_I]]
    key: Callable[[_I], object]


def list_all(
    client: RestClient,
    listing: Listing[_P, _I],
    query: Mapping[str, str | int] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[_I]:
    """All items of a list, without duplicates. MLflow pages by offset, so rows can repeat while the list changes.

    `progress` is called with the number of items so far. Raises OutsideError if the pages repeat.
    """
    listed: dict[object, _I] = {}
    for page in _read_pages(client, listing, query or {}):
        items = {listing.key(item): item for item in listing.items(page)}
        if page.next_page_token and items and items.keys() <= listed.keys():
            raise _describe_loop(listing.path)
        listed |= items
        progress(len(listed))
    return list(listed.values())


def _read_pages(client: RestClient, listing: Listing[_P, _I], query: Mapping[str, str | int]) -> Iterator[_P]:
    started, before = time.monotonic(), client.received
    size, page = _read_first(client, listing, query)
    seen = {""}
    for number in range(_MAX_PAGES):
        yield page
        _check_bounds(listing.path, number, client.received - before, time.monotonic() - started)
        token = page.next_page_token
        if not token:
            return
        if token in seen:
            break
        seen.add(token)
        request = Request(path=API + listing.path, query={**query, "max_results": size, "page_token": token})
        page = client.get_json(request, listing.kind)
    raise _describe_loop(listing.path)


def _read_first(client: RestClient, listing: Listing[_P, _I], query: Mapping[str, str | int]) -> tuple[int, _P]:
    for size in listing.sizes:
        request = Request(path=API + listing.path, query={**query, "max_results": size})
        try:
            return size, client.get_json(request, listing.kind)
        except ErrorResponse as error:
            if error.status != 400 or size == listing.sizes[-1]:
                raise
    raise ValueError("a listing without page sizes")


def _check_bounds(path: str, pages: int, size: int, seconds: float) -> None:
    if size > _MAX_BYTES or seconds > _MAX_SECONDS:
        limit = f"{_MAX_BYTES >> 20} MiB" if size > _MAX_BYTES else f"{_MAX_SECONDS / 60:.0f} minutes"
        raise OutsideError(
            f"the server's list {path} is not complete after {pages + 1} pages and {limit}",
            hint="check that this is the MLflow server, and that it answers fast enough",
        )


def _describe_loop(path: str) -> OutsideError:
    return OutsideError(
        f"the pages of the server's list {path} repeat, so the list may be incomplete",
        hint="check that no proxy drops or caches the query parameter page_token",
    )
