"""The tail's pages: while one is being published, the next is on its way."""

import asyncio
from typing import Self

from daemon.model import Cursor, NotNow, Page, UnknownCursor
from daemon.ports import Results

Answer = Page | UnknownCursor | NotNow


class Pages:
    """Asks for what finished after a cursor; when the block ends, nothing is asked for any more."""

    def __init__(self, api: Results, size: int) -> None:
        self._api = api
        self._size = size
        self._ahead: tuple[Cursor, asyncio.Task[Answer]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._forget()

    def ask_ahead(self, before: Cursor, behind: Cursor) -> None:
        """There is more: ask for what is behind a page already, which is still to be published.

        Not where the page leads nowhere, for the same question is to be asked later then.
        """
        if self._ahead is None and not _same_place(before, behind):
            self._ahead = behind, asyncio.ensure_future(self._api.tail(behind, self._size))

    async def behind(self, cursor: Cursor) -> Answer:
        """What finished after this cursor."""
        if self._ahead is not None and _same_place(self._ahead[0], cursor):
            (_, asked), self._ahead = self._ahead, None
            return await asked
        await self._forget()
        return await self._api.tail(cursor, self._size)

    async def _forget(self) -> None:
        if self._ahead is None:
            return
        (_, asked), self._ahead = self._ahead, None
        asked.cancel()
        await asyncio.wait([asked])
        if not asked.cancelled():
            # Looked at, so that it is not reported as one that nobody retrieved.
            asked.exception()


def _same_place(one: Cursor, other: Cursor) -> bool:
    return (one.finished_at, one.item_id) == (other.finished_at, other.item_id)
