"""Follows a source's history: list from the cursor, enter new ids into the books, move the cursor with the last slice.

Used by the lister. The cursor moves only to a history id of an email that is in the books (the last listed one; if
emails carry no history ids, the one that `/watch` returned before the listing), and in the same transaction that enters
the last slice. Entering a known id again changes nothing, so a look may be repeated, overlap another one, or stop at
any point.
"""

import logging
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
from storage.records import CursorMove, Look, Skipped, SourceState

log = logging.getLogger(__name__)

SLICE = 2_000
"""How many ids are entered into the books in one transaction."""

WITNESSES = 3
"""How many emails before the missing one that set the cursor are checked: if they are gone too, so is the account."""

SKIPPED_LOOK = 100
"""How many history ids back START_FROM=now looks for skipped emails by which to recognise the account later, and how
many of them it remembers at most: somebody may delete the newest ones."""

LAST_TRIED = 3
"""How many of the last listed emails may be fetched to find a history id."""


class Ids(Protocol):
    """The ids of a listing. It can be long, so it is iterated over once or twice and never held as a whole."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


class History(Protocol):
    """The part of fakemail.client.FakeMailClient that is used here."""

    def watch(self) -> int:
        """Return the newest history id of the account."""

    def list_emails(self, from_history_id: int, heard: Callable[[], None]) -> "Ids":
        """Return the ids after a history id, oldest first. `heard` is called while the listing comes in."""

    def get_email(self, email_id: str) -> RemoteEmail | None:
        """Return one email, or None if there is no such email."""


@dataclass
class Follower:
    """Follows one source, one look at a time.

    Two followers of the same source are safe, since every move is guarded.
    """

    name: str
    client: History
    books: Books
    overlap: float  # seconds, HISTORY_OVERLAP_S
    progress: Callable[[int], None] = lambda _: None  # called after each slice with the number of new emails in it
    goes_on: Callable[[], None] = lambda: None  # called while a listing comes in
    failed: str | None = field(default=None, init=False)  # the last id that FakeMail failed to give; tried last
    bears_history: bool = field(default=True, init=False)  # whether the last email fetched had a history id

    @property
    def source(self) -> SourceState:
        """The source's current state in the books."""
        return self.books.source(self.name)

    def look(self, look: Look) -> SourceState:
        """Look on a notification: list from the cursor. An announced id below it may mean that the account was reset."""
        source = self.source
        if look.history_id is not None and look.history_id < source.cursor:
            source = self._after_a_reset(source, self.client.watch())
        return self._list(source, look, start=source.cursor)

    def poll(self, look: Look, *, lane: str = "normal") -> SourceState:
        """Look without a notification, from the floor rather than the cursor, to find mail that became visible late."""
        source = self._after_a_reset(self.source, self.client.watch())
        source = self._list(source, look, start=source.floor, lane=lane)
        if clock.steady_s() < self.overlap:
            return source  # the shared clock may have stepped lately: too early to raise the floor
        return self.books.finish_poll(source, began=look.began, overlap=self.overlap)

    def skip_to_now(self, mark: str | None = None) -> SourceState:
        """Skip everything the account holds now (START_FROM=now).

        `mark` is set in the same transaction, so that this happens once.
        """
        now = self.client.watch()
        newest = self.client.list_emails(max(now - SKIPPED_LOOK, 0), self.goes_on)
        found = newest if len(newest) else self.client.list_emails(0, self.goes_on)
        keys = [email_key(email_id) for email_id in deque(found, maxlen=SKIPPED_LOOK)]
        left_alone = [key for key in dict.fromkeys(keys) if not is_hashed(key)]  # a listing may repeat an old id
        return self.books.skip_to(self.source, now, left_alone, mark=mark)

    def _after_a_reset(self, source: SourceState, watched: int) -> SourceState:
        return self._begin_again(source) if watched < source.cursor else source

    def _begin_again(self, source: SourceState) -> SourceState:
        """Start a new epoch at the beginning, or at the newest email skipped by START_FROM=now that still exists.

        So neither a false alarm nor an account restored to an older state brings in the mail that was skipped.
        """
        begun = self.books.reset(source, self._left_alone(source))
        log.info("source %s: its account seems to be reset; listing it again from %d", self.name, begun.cursor)
        return begun

    def _left_alone(self, source: SourceState) -> int:
        skipped = self.books.skipped(source)
        if skipped is None:
            return 0
        listed: set[str] | None = None
        for key in reversed(skipped.keys):
            try:
                email = self.client.get_email(unescape_id(key))
            except Throttled:
                raise
            except (Permanent, DependencyTrouble):
                listed = self._listed_of(skipped) if listed is None else listed
                if key in listed:
                    return skipped.history_id
                continue
            if email is not None:
                at = skipped.history_id if email.history_id is None else email.history_id
                return min(at, skipped.history_id)
            self.goes_on()
        return 0

    def _listed_of(self, skipped: Skipped) -> set[str]:
        """Return the keys of the skipped emails that the account lists."""
        wanted = set(skipped.keys)
        keys = (email_key(listed) for listed in self.client.list_emails(0, self.goes_on))
        return {key for key in keys if key in wanted}

    def _is_the_same(self, source: SourceState) -> bool | None:
        """Return whether this is the account that set the cursor; None if FakeMail fails to say.

        It is not if the email that set the cursor and those before it are gone. `/watch` does not show a reset of an
        account that has already caught up with the cursor.
        """
        if source.cursor_key is None:
            return self._still_has_the_skipped(source)
        if is_hashed(source.cursor_key):
            return True  # there is no email to check
        email_id = unescape_id(source.cursor_key)
        try:
            there = self._is_there(email_id)
            if there or self._is_listed(email_id, max(source.cursor - 1, 0)):
                return True
            witnesses = self.books.keys_before(source, source.cursor_key, WITNESSES)
            answers = {there, *(self._is_there(unescape_id(key)) for key in witnesses)}
        except DependencyTrouble:
            return None
        return True if True in answers else None if None in answers else False

    def _still_has_the_skipped(self, source: SourceState) -> bool | None:
        """Return what `_is_the_same` does while no email has set the cursor: after START_FROM=now, the skipped ones tell.

        It is another account if it has none of them.
        """
        skipped = self.books.skipped(source)
        if skipped is None or (skipped.epoch, skipped.history_id) != (source.epoch, source.cursor):
            return True  # there is no email to check
        answers: set[bool | None] = set()
        try:
            for key in reversed(skipped.keys):
                answers.add(self._is_there(unescape_id(key)))
                if True in answers:
                    return True
                self.goes_on()
            return None if None in answers else bool(self._listed_of(skipped))
        except DependencyTrouble:
            return None

    def _is_there(self, email_id: str) -> bool | None:
        """Return whether there is such an email; None if FakeMail fails to give it, which proves nothing."""
        try:
            return self.client.get_email(email_id) is not None
        except Throttled:
            raise
        except (Permanent, DependencyTrouble):
            return None

    def _is_listed(self, email_id: str, after: int) -> bool:
        return any(listed == email_id for listed in self.client.list_emails(after, self.goes_on))

    def _list(self, source: SourceState, look: Look, *, start: int, lane: str = "normal") -> SourceState:
        """List, check whose listing it is, and enter it. The cursor moves only if this is the account that set it.

        The check comes after the listing, since the account may be reset between the two, and before the cursor moves,
        since the email by which the old account is told from the new one is then forgotten. Whosever it is, what was
        listed is entered: the next listing may lack it.
        """
        watched = None if self.bears_history else self.client.watch()
        ids = self.client.list_emails(start, self.goes_on)
        reach("listing.listed")
        same = self._is_the_same(source)
        before, newest, left = look.listed, deque[str](maxlen=LAST_TRIED), len(ids)
        look.listed += left
        for part in id_slices(ids, SLICE) if left else [[]]:
            newest.extend(part)
            left -= len(part)
            move = self._move(source, newest, watched) if same and not left else None
            if not left and watched is None and not self.bears_history:
                look.listed = before
                return self._list(source, look, start=start, lane=lane)  # no history ids: list again, /watch first
            if part or move:
                self._enter(source, part, look, lane, move)
            if move:
                source = structs.replace(source, cursor=move.to, cursor_key=move.key)
        if same is False:
            source = self._begin_again(source)
            return self._list(source, look, start=source.cursor, lane=lane)
        return source

    def _enter(self, source: SourceState, ids: Sequence[str], look: Look, lane: str, move: CursorMove | None) -> None:
        new = self.books.enter(source, ids, look, lane=lane, move=move)
        reach("listing.entered")
        self.progress(len(new))

    def _move(self, source: SourceState, ids: Iterable[str], watched: int | None) -> CursorMove | None:
        """Return where these ids move the cursor, or None if it stays."""
        seen, key = self._seen_history(ids)
        if seen is None and watched is not None:
            seen, key = watched, None
        if seen is None or seen <= source.cursor:
            return None
        return CursorMove(source.epoch, source.cursor, seen, key)

    def _seen_history(self, ids: Iterable[str]) -> tuple[int | None, str | None]:
        """Return the history id and key of the newest of these emails that can be fetched, or (None, None).

        An email that FakeMail fails to give must not keep the listed ids out of the books.
        """
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


def id_slices(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the ids in lists of `size`; the last one may be shorter."""
    rest = iter(ids)
    while part := list(islice(rest, size)):
        yield part
