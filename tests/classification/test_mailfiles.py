"""Messages are read one by one from every kind of mail file, whatever lies between them."""

import io
import mailbox
from pathlib import Path

import pytest

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


def unreadable(path):
    """A file that can be opened, but gives an I/O error when read, even for root."""
    path.symlink_to("/proc/self/mem")
    return path


def test_what_cannot_be_read_below_the_path_is_passed_over_and_told(tmp_path, monkeypatch):
    box = mailbox.Maildir(tmp_path / "box")
    box.add(ONE)
    box.add_folder("sub").add(TWO)
    bad = {unreadable(tmp_path / name) for name in ("box/cur/bad", "a.eml", "notes")}
    bad.add(tmp_path / "box" / "new")
    (tmp_path / "z.eml").write_bytes(TWO)
    listed = Path.iterdir

    def iterdir(path):
        if path == tmp_path / "box" / "new":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    told: dict[Path, OSError] = {}
    assert list(iter_messages(tmp_path, told.__setitem__)) == [TWO, TWO]
    assert set(told) == bad
    with pytest.raises(OSError, match="Input/output error"):
        list(iter_messages(tmp_path))


def test_an_mbox_is_read_as_far_as_it_goes(tmp_path, monkeypatch):
    (tmp_path / "mail.mbox").write_bytes(b"From a@b\n" + ONE + b"\nFrom a@b\n" + TWO + b"\nFrom a@b\n" + ONE)

    class Torn(io.BytesIO):
        def readline(self, size=-1):
            if self.tell() > 50:
                raise OSError(5, "Input/output error")
            return super().readline(size)

    content = (tmp_path / "mail.mbox").read_bytes()
    monkeypatch.setattr(Path, "open", lambda *_: Torn(content))
    told = []
    found = [raw.split(b"\n", 1)[0] for raw in iter_messages(tmp_path, lambda path, _: told.append(path.name))]
    assert (found, told) == ([b"Subject: one"], ["mail.mbox"])


@pytest.mark.parametrize("name", ["none", "bad"])
def test_a_path_that_itself_cannot_be_read_is_an_error(tmp_path, name):
    unreadable(tmp_path / "bad")
    with pytest.raises(OSError, match=r"No such file|Input/output error"):
        list(iter_messages(tmp_path / name, lambda *_: None))


def test_one_message_is_read(tmp_path):
    (tmp_path / "a.eml").write_bytes(b"From x y\n" + ONE)
    (raw,) = iter_messages(tmp_path / "a.eml")
    assert ONE in raw


def test_an_empty_file_is_one_empty_message(tmp_path):
    (tmp_path / "a.eml").touch()
    assert list(iter_messages(tmp_path / "a.eml")) == [b""]
