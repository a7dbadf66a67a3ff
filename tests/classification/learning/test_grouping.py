"""Mail of one sender or one thread stays on one side of a split."""

from classification.corpus import labelled
from classification.learning.grouping import groups


def item(subject, sender, source="list"):
    return labelled({"subject": subject, "body": "", "sender": sender, "source": source})


def test_a_sender_is_one_group_however_the_name_is_spaced():
    numbers = groups([item("a", "Ann Lee"), item("b", "ann  lee"), item("c", "Bob")])
    assert numbers[0] == numbers[1] != numbers[2]


def test_an_address_is_one_sender_whatever_stands_beside_it():
    numbers = groups([item("a", "80% off <a@b.c>"), item("b", "Ann < A@B.c >", "two"), item("c", "Ann <b@b.c>")])
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_thread_is_one_group_whoever_writes():
    numbers = groups(
        [item("[dev] planning the release", "Ann"), item("Re: Planning the release", "Bob"), item("hello", "Cy")]
    )
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_sender_may_be_in_two_groups_where_only_threads_count():
    items = [
        item("a", "Ann"),
        item("b", "Ann"),
        item("Planning the release", "Bob"),
        item("Re: planning the release", "Cy"),
    ]
    numbers = groups(items, senders=False)
    assert numbers[0] != numbers[1]
    assert numbers[2] == numbers[3]


def test_the_same_sender_in_two_sources_is_two_groups():
    numbers = groups([item("a", "Ann", "one"), item("b", "Ann", "two")])
    assert numbers[0] != numbers[1]


def test_written_mail_without_source_is_a_group_each():
    numbers = groups([item("a", "", ""), item("a", "", "")])
    assert numbers[0] != numbers[1]
