"""`run.py import`: batches limited by number and bytes, ids derived from content, no message stops it."""

import argparse
import json
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from classification.mime import message_id
from commands import importing
from commands.client import CommandError
from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from settings import Settings
from tests.commands.http_server import SmallServer

LIMIT = 1024 * 1024


def raw(number: int, body: str = "Shall we meet on Tuesday?") -> bytes:
    return f"From: a{number}@example.org\nSubject: Number {number}\n\n{body}\n".encode()


def folder_of(path: Path, messages: list[bytes]) -> Path:
    path.mkdir(exist_ok=True)
    for number, message in enumerate(messages):
        (path / f"{number:04}.eml").write_bytes(message)
    return path


def chunks(path: Path) -> list[list[dict[str, object]]]:
    return list(importing._chunks([path], LIMIT, importing.Sent()))


def send(server: SmallServer, *paths: Path, as_json: bool = False) -> None:
    importing.run(argparse.Namespace(path=[*paths], no_wait=True, json=as_json), Settings(base_url=server.url))


@pytest.fixture
def simulator(tmp_path, small_server):
    """A simulator, mounted at a server whose books are empty."""
    opened = open_simulator(tmp_path)
    small_server.mounted["/simulator/"] = simulator_app(opened)
    small_server.answers["GET", "/audit"] = (200, dict.fromkeys(("listed", "results", "dead"), 0))
    yield opened
    opened.close()


def test_a_batch_is_bounded_by_number(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK", 3)
    folder = folder_of(tmp_path / "mail", [raw(n) for n in range(7)])
    assert [len(chunk) for chunk in chunks(folder)] == [3, 3, 1]


def test_a_batch_is_bounded_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_BYTES", 1000)
    folder = folder_of(tmp_path / "mail", [raw(n, "x" * size) for n, size in enumerate([10, 995, 10, 5000, 10])])
    assert [len(chunk) for chunk in chunks(folder)] == [2, 2, 1]


def test_nothing_makes_no_batch(tmp_path):
    assert chunks(folder_of(tmp_path / "empty", [])) == []


def test_an_email_bears_the_hash_of_its_raw_message_and_goes_into_the_low_lane(tmp_path):
    message = raw(1)
    [[email]] = chunks(folder_of(tmp_path / "mail", [message]))
    assert email["id"] == message_id(message)
    assert (email["subject"], email["sender"], email["priority"]) == ("Number 1", "a1@example.org", "low")


def test_several_paths_are_one_import(tmp_path):
    first, second = folder_of(tmp_path / "a", [raw(1)]), folder_of(tmp_path / "b", [raw(2)])
    sent = importing.Sent()
    [chunk] = importing._chunks([first, second], LIMIT, sent)
    assert [email["subject"] for email in chunk] == ["Number 1", "Number 2"]
    assert sent.read == 2


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x00\xff\xfe",
        b"no header at all",
        b"Subject: =?utf-8?q?=FF=FE?=\n\nx",
        b"Content-Type: text/plain; charset=nonesuch\n\n\xff",
        b"Content-Type: multipart/mixed\n\nno boundary",
        b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: multipart/mixed; boundary="b"\n\n--b',
        b"Content-Transfer-Encoding: base64\n\n$$$not base64$$$",
        b"Subject: " + b"x" * 200_000 + b"\n\nbody",
    ],
)
def test_no_message_stops_the_run(tmp_path, broken):
    messages = [raw(1), broken, raw(2)]
    emails = [email for chunk in chunks(folder_of(tmp_path / "mail", messages)) for email in chunk]
    assert len(emails) == 3
    assert all(isinstance(email["subject"], str) and isinstance(email["body"], str) for email in emails)


def test_an_mbox_and_a_maildir_are_read(tmp_path):
    box, maildir = mailbox.mbox(tmp_path / "box"), mailbox.Maildir(tmp_path / "dir")
    for number in range(3):
        message = EmailMessage()
        message["Subject"] = f"Number {number}"
        message.set_content("Hello")
        box.add(message)
        maildir.add(message)
    box.close()
    assert len(chunks(tmp_path / "box")[0]) == 3
    assert len(chunks(tmp_path / "dir")[0]) == 3


def test_a_path_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CommandError, match="none does not exist"):
        importing._exists(tmp_path / "none")


def test_a_path_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "bad.eml").symlink_to("/proc/self/mem")  # it can be opened, but reading it is an I/O error
    with pytest.raises(CommandError, match=r"bad\.eml cannot be read \(Input/output error\)$"):
        chunks(tmp_path / "bad.eml")
    with pytest.raises(CommandError, match=r"cannot be read \(File name too long\)$"):
        importing._exists(tmp_path / ("x" * 300))


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_what_cannot_be_read_in_a_folder_is_counted_and_told(tmp_path, small_server, simulator, capsys):
    folder = folder_of(tmp_path / "mail", [raw(1), raw(2)])
    (folder / "0000-bad.eml").symlink_to("/proc/self/mem")
    send(small_server, folder)
    told = capsys.readouterr()
    assert told.out == "2 messages read, 2 sent; 1 could not be read\n"
    assert told.err.count(f"{folder}/0000-bad.eml cannot be read (Input/output error)") == 1
    assert simulator.status()["email_count"] == 2


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_a_file_without_mail_headers_is_sent_and_doubted(tmp_path, small_server, simulator, capsys):
    readme, mail = tmp_path / "README.md", tmp_path / "mail.eml"
    readme.write_text("# Email processor\n\nIt follows a mailbox.\n")
    mail.write_bytes(b"\xef\xbb\xbf" + raw(1))
    send(small_server, readme, mail)
    told = capsys.readouterr()
    assert told.out == "2 messages read, 2 sent\n"
    assert told.err.count("without mail headers") == 1
    assert f"{readme}: 1 file without mail headers: is this mail?\n" in told.err
    assert simulator.status()["email_count"] == 2


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_the_same_mail_again_changes_nothing_at_the_simulator(tmp_path, small_server, simulator, capsys):
    folder = folder_of(tmp_path / "mail", [raw(n) for n in range(4)] + [raw(0)])
    for _ in range(2):
        send(small_server, folder)
        assert simulator.status()["email_count"] == 4
        assert "5 messages read, 4 sent; 1 the same as another\n" in capsys.readouterr().out
    send(small_server, folder, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"read": 5, "sent": 4, "unreadable": 0}


def test_without_a_simulator_it_says_that_there_is_no_way_to_send(tmp_path, small_server, monkeypatch):
    monkeypatch.delenv("FAKEMAIL_API_URL", raising=False)
    with pytest.raises(CommandError, match="has no simulator"):
        send(small_server, folder_of(tmp_path / "mail", [raw(1)]))
