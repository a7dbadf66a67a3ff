"""How a source's history is followed: list from the cursor, enter what is new, move the cursor with the last slice.

Used by the lister. The cursor only goes to a history id seen on an email that is in the books (the last listed one; where
emails bear none, what `/watch` said before the listing), in the very transaction that enters the last slice. Known ids
collapse, so every look may happen twice, overlap another, or be cut off anywhere.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from msgspec import structs

from engine import clock
from engine.errors import DependencyTrouble, Permanent, Throttled
from engine.failpoints import reach
from fakemail.answers import RemoteEmail
from storage.books import Books
from storage.keys import email_key, is_hashed, unescape_id
from storage.records import CursorMove, Look, SourceState

SLICE = 2_000
"""Ids that go into the books in one transaction."""

WITNESSES = 3
"""Where the email that set the cursor is gone, so many that came before it tell whether the account is."""

SKIPPED_LOOK = 100
"""So far back in the history emails are looked for that tell later whether the account is still that of which older mail was left alone."""

LAST_TRIED = 3
"""So many of the last listed emails are asked for the history id that they bear."""


class Ids(Protocol):
    """A listing, which may be long: it is gone through once or twice, and never held as a whole."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


class History(Protocol):
    """What is needed of FakeMail here: fakemail.client.FakeMailClient has it."""

    def watch(self) -> int:
        """The newest history id of the account."""

    def list_emails(self, from_history_id: int, heard: Callable[[], None]) -> "Ids":
        """Ids after that history id, oldest first."""

    def get_email(self, email_id: str) -> RemoteEmail | None:
        """One email; None when there is none."""


@dataclass
class Follower:
    """Follows one source. One look at a time; two followers of one source are safe, since every move is guarded."""

    name: str
    client: History
    books: Books
    overlap: float  # seconds, HISTORY_OVERLAP_S
    progress: Callable[[int], None] = lambda _: None  # told after each slice how many emails were new in it
    goes_on: Callable[[], None] = lambda: None  # called while a listing comes in
    failed: str | None = field(default=None, init=False)  # the last id that FakeMail failed to give: asked after others
    bears_history: bool = field(default=True, init=False)  # whether the last email that was asked did

    @property
    def source(self) -> SourceState:
        """The source as the books have it now."""
        return self.books.source(self.name)

    def look(self, look: Look) -> SourceState:
        """What a notification asks for: list from the cursor. Then see whether that still belongs to this account.

        An announcement below the cursor may mean a reset; one that has caught up with it looks like any other, but then the
        email that set the cursor is gone. That is asked last, so that new mail need not wait for it.
        """
        source = self.source
        if look.history_id is not None and look.history_id < source.cursor:
            source = self._after_a_reset(source, self.client.watch())
        listed = self._list(source, look, start=source.cursor)
        if self._vanished(source):
            source = self._begin_again(listed)
            return self._list(source, look, start=source.cursor)
        return listed

    def poll(self, look: Look, *, lane: str = "normal") -> SourceState:
        """The look that needs no notification: from the floor, so that what became visible late is found."""
        source = self._after_a_reset(self.source, self.client.watch())
        if self._vanished(source):
            source = self._begin_again(source)
        source = self._list(source, look, start=source.floor, lane=lane)
        if clock.steady_s() < self.overlap:
            return source  # how long ago a cursor was reached is not known well enough
        return self.books.finish_poll(source, began=look.began, overlap=self.overlap)

    def skip_to_now(self, mark: str | None = None) -> SourceState:
        """START_FROM=now: what the account holds today is left alone. `mark` is set in the same step: it happens once."""
        now = self.client.watch()
        newest = self.client.list_emails(max(now - SKIPPED_LOOK, 0), self.goes_on)
        found = newest if len(newest) else self.client.list_emails(0, self.goes_on)
        keys = [email_key(email_id) for email_id in deque(found, maxlen=SKIPPED_LOOK)]
        left_alone = [key for key in keys if not is_hashed(key)][-WITNESSES:]
        return self.books.skip_to(self.source, now, left_alone, mark=mark)

    def _after_a_reset(self, source: SourceState, watched: int) -> SourceState:
        return self._begin_again(source) if watched < source.cursor else source

    def _begin_again(self, source: SourceState) -> SourceState:
        """In a new epoch, from the beginning; or from the newest email that START_FROM=now has left alone and that is still there.

        So neither a false alarm nor an account that was set back to an older state takes in what was left alone.
        """
        return self.books.reset(source, self._left_alone(source))

    def _left_alone(self, source: SourceState) -> int:
        skipped = self.books.skipped(source)
        if skipped is None:
            return 0
        for key in reversed(skipped.keys):
            try:
                email = self.client.get_email(unescape_id(key))
            except Throttled:
                raise
            except (Permanent, DependencyTrouble):
                return skipped.history_id  # it is not known to be gone
            if email is not None:
                at = skipped.history_id if email.history_id is None else email.history_id
                return min(at, skipped.history_id)
        return 0

    def _vanished(self, source: SourceState) -> bool:
        """The email that set the cursor is neither listed nor found, nor are others: the account is another one than it was."""
        if source.cursor_key is None or is_hashed(source.cursor_key):
            return False  # nobody to ask for
        email_id = unescape_id(source.cursor_key)
        if self._may_be_there(email_id):
            return False
        if any(listed == email_id for listed in self.client.list_emails(max(source.cursor - 1, 0), self.goes_on)):
            return False
        witnesses = self.books.keys_before(source, source.cursor_key, WITNESSES)
        return not any(self._may_be_there(unescape_id(key)) for key in witnesses)

    def _may_be_there(self, email_id: str) -> bool:
        """What FakeMail fails to give is not known to be gone."""
        try:
            return self.client.get_email(email_id) is not None
        except Throttled:
            raise
        except (Permanent, DependencyTrouble):
            return True

    def _list(self, source: SourceState, look: Look, *, start: int, lane: str = "normal") -> SourceState:
        watched = None if self.bears_history else self.client.watch()
        ids = self.client.list_emails(start, self.goes_on)
        reach("listing.listed")
        before, newest, left = look.listed, deque[str](maxlen=LAST_TRIED), len(ids)
        look.listed += left
        for part in slices(ids, SLICE) if left else [[]]:
            newest.extend(part)
            left -= len(part)
            move = None if left else self._move(source, newest, watched)
            if not left and watched is None and not self.bears_history:
                look.listed = before
                return self._list(source, look, start=start, lane=lane)  # now we know: ask /watch first
            if part or move:
                self._enter(source, part, look, lane, move)
            if move:
                source = structs.replace(source, cursor=move.to, cursor_key=move.key)
        return source

    def _enter(self, source: SourceState, ids: Sequence[str], look: Look, lane: str, move: CursorMove | None) -> None:
        new = self.books.enter(source, ids, look, lane=lane, move=move)
        reach("listing.entered")
        self.progress(len(new))

    def _move(self, source: SourceState, ids: Iterable[str], watched: int | None) -> CursorMove | None:
        """Where the cursor goes with these ids; None when it stays where it is."""
        seen, key = self._seen_history(ids)
        if seen is None and watched is not None:
            seen, key = watched, None
        if seen is None or seen <= source.cursor:
            return None
        return CursorMove(source.epoch, source.cursor, seen, key)

    def _seen_history(self, ids: Iterable[str]) -> tuple[int | None, str | None]:
        """What the newest of them that can be had bears. One that FakeMail fails to give must keep no listed id out of the books."""
        newest_first = list(ids)[::-1]
        for email_id in sorted(newest_first, key=lambda each: each == self.failed):
            try:
                email = self.client.get_email(email_id)
            except Permanent:
                continue
            except Throttled:
                break
            except DependencyTrouble:
                self.failed = email_id
                continue
            if email is not None:
                self.bears_history = email.history_id is not None
                return (email.history_id, email_key(email_id)) if self.bears_history else (None, None)
        return None, None


def slices(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """The ids in lists of `size`, the last one shorter."""
    rest = iter(ids)
    while part := list(islice(rest, size)):
        yield part
