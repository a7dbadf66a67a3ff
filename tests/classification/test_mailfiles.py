"""Messages come out of every kind of mail file, one by one, whatever stands between them."""

import mailbox

from classification.mailfiles import iter_messages

ONE = b"Subject: one\n\nfirst\n"
TWO = b"Subject: two\n\nsecond\n"


def subjects(path):
    return [raw.split(b"\n", 1)[0] for raw in iter_messages(path)]


def test_an_mbox_is_split_at_its_from_lines(tmp_path):
    path = tmp_path / "mail.mbox"
    path.write_bytes(b"From a@b Mon Jan  1 00:00:00 2004\n" + ONE + b"\nFrom - odd one\n" + TWO)
    assert subjects(path) == [b"Subject: one", b"Subject: two"]


def test_a_from_line_inside_a_text_parts_nothing(tmp_path):
    path = tmp_path / "mail.mbox"
    path.write_bytes(
        b"From a@b Mon Jan  1 00:00:00 2004\n" + ONE + b"\nFrom here on all is well.\nBye.\n\n>From quoted\n"
    )
    (raw,) = iter_messages(path)
    assert b"\nFrom here on all is well.\nBye.\n" in raw
    assert b"\nFrom quoted\n" in raw


def test_an_mbox_written_by_the_standard_library_is_read_back(tmp_path):
    box = mailbox.mbox(tmp_path / "mail")
    box.add(ONE)
    box.add(TWO)
    box.close()
    assert subjects(tmp_path / "mail") == [b"Subject: one", b"Subject: two"]


def test_a_maildir_is_read(tmp_path):
    box = mailbox.Maildir(tmp_path / "box")
    box.add(ONE)
    box.add(TWO)
    box.close()
    assert sorted(subjects(tmp_path / "box")) == [b"Subject: one", b"Subject: two"]


def test_a_folder_is_read_with_its_folders_and_mboxes_and_without_other_files(tmp_path):
    (tmp_path / "a.eml").write_bytes(ONE)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inbox").write_bytes(b"From a@b Mon Jan  1 00:00:00 2004\n" + TWO)
    (tmp_path / "notes.bin").write_bytes(b"\0\1\2")
    (tmp_path / ".hidden.eml").write_bytes(ONE)
    assert subjects(tmp_path) == [b"Subject: one", b"Subject: two"]


def test_links_that_lead_round_in_a_circle_are_not_followed(tmp_path):
    (tmp_path / "one.eml").write_bytes(ONE)
    (tmp_path / "again").symlink_to(tmp_path)
    assert subjects(tmp_path) == [b"Subject: one"]


def test_one_message_is_read(tmp_path):
    (tmp_path / "a.eml").write_bytes(b"From x y\n" + ONE)
    (raw,) = iter_messages(tmp_path / "a.eml")
    assert ONE in raw


def test_an_empty_file_is_one_empty_message(tmp_path):
    (tmp_path / "a.eml").touch()
    assert list(iter_messages(tmp_path / "a.eml")) == [b""]
