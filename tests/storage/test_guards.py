"""Guards of the settle script and the books, removed one at a time: for each, a named test of the store's own fails.

tests/simulation/mutations.py has the guards whose absence the simulation detects; here are those that it cannot test
(it replays no dead letter, and its mailboxes are not the script). If a guard's text changes, its entry here fails.
"""

from typing import Any

import pytest

import storage.redis_scripts
import storage.results
from storage.books import Books
from storage.dead_letters import DeadLetters
from storage.redis_mailbox import RedisMailboxes
from storage.results import ResultStore
from tests.engine import test_mailbox_contract as contract
from tests.simulation import mutations
from tests.storage import test_books, test_dead_letters, test_results
from tests.storage.books_fixtures import open_database

SETTLE = {
    "whose entry was taken away is told so": (
        "all_ours or redis.call('XDEL', stream, ARGV[entries + i]) == 1",
        "true",
        contract.test_of_two_owners_one_hands_over,
    ),
    "all are ours only when all were acknowledged": (
        "unpack(ARGV, entries, entries + n - 1)) == n",
        "unpack(ARGV, entries, entries + n - 1)) >= 0",
        contract.test_of_two_owners_one_hands_over,
    ),
    "what is acknowledged is deleted": (
        "if all_ours then redis.call('XDEL', stream, unpack(ARGV, entries, entries + n - 1)) end",
        "",
        contract.test_settling_acknowledges_hands_on_and_tells,
    ),
    "what is handed on arrives": (
        "redis.call('XADD', KEYS[2 + to], '*', 'e', ARGV[envelopes + i])",
        "",
        contract.test_settling_acknowledges_hands_on_and_tells,
    ),
    "events are told": (
        "append(events)\nreturn lost",
        "return lost",
        contract.test_settling_acknowledges_hands_on_and_tells,
    ),
    "who lost one hears of it": (
        "lost[#lost + 1] = seen + i + 1",
        "",
        contract.test_of_two_owners_one_hands_over,
    ),
    "bytes are counted": (
        "count_bytes(KEYS[2 + code], KEYS[2 + base + BYTES], lane, bytes)",
        "",
        contract.test_bytes_follow_a_message_on_its_way,
    ),
}


@pytest.mark.parametrize("guard", SETTLE)
def test_the_settle_script_without_a_guard_fails_a_test_of_the_mailboxes(redis_client, valkey_url, monkeypatch, guard):
    text, instead, test = SETTLE[guard]
    whole = storage.redis_scripts.text_of
    assert text in whole("settle")
    monkeypatch.setattr(
        storage.redis_scripts,
        "text_of",
        lambda name: whole(name).replace(text, instead) if name == "settle" else whole(name),
    )
    box = RedisMailboxes(valkey_url, namespace="test", rooms={})
    try:
        with pytest.raises(AssertionError):
            test(box)
    finally:
        box.close()


def save_whatever_the_generation(patch):
    mutations.without(patch, "AND book.generation = batch.generation")


def save_whatever_the_key(patch):
    mutations.without(patch, "AND book.key = batch.key")


def postpone_whatever_the_generation(patch):
    mutations.move_whatever_the_generation(patch)


def bury_whatever_the_generation(patch):
    mutations.move_whatever_the_generation(patch)


BOOKS: dict[Any, Any] = {
    mutations.save_whatever_the_attempts: (
        test_results.test_an_older_delivery_leaves_the_row_to_the_one_that_comes_after_its_retry
    ),
    mutations.save_whatever_the_number: (
        test_results.test_an_email_that_was_opened_anew_is_told_of_by_its_newest_message_alone
    ),
    save_whatever_the_generation: test_results.test_what_is_not_open_in_this_generation_is_not_saved,
    save_whatever_the_key: test_results.test_what_is_not_open_in_this_generation_is_not_saved,
    mutations.postpone_whatever_the_state: test_results.test_a_postponement_after_the_result_changes_nothing,
    mutations.postpone_whatever_the_number: (
        test_books.test_an_email_that_was_opened_anew_is_postponed_by_its_newest_message_alone
    ),
    postpone_whatever_the_generation: test_books.test_an_old_generation_or_another_email_cannot_postpone,
    mutations.bury_whatever_the_state: test_dead_letters.test_what_is_not_open_in_this_generation_is_not_buried,
    mutations.bury_whatever_the_number: (
        test_dead_letters.test_an_email_that_was_opened_anew_is_buried_by_its_newest_message_alone
    ),
    bury_whatever_the_generation: test_dead_letters.test_what_is_not_open_in_this_generation_is_not_buried,
}


@pytest.mark.parametrize("mutation", BOOKS, ids=lambda mutation: mutation.__name__)
def test_the_books_without_a_guard_fail_a_test_of_the_books(tmp_path, monkeypatch, mutation):
    db = open_database(f"sqlite:///{tmp_path}/emails.db")
    test = BOOKS[mutation]
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    stores = {"books": Books(db), "store": ResultStore(db), "letters": DeadLetters(db), "db": db}
    mutation(monkeypatch)
    try:
        with pytest.raises((*mutations.NOTICED, AssertionError)):
            test(**{name: stores[name] for name in wanted})
    finally:
        db.close()
