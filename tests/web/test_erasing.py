"""`POST /erase`: counts first, then erases; it records who did it, but not whose emails they were."""

from storage.records import Content, SourceState
from tests.storage.books_fixtures import result


def mail(system, index, *ids: str, source: SourceState | None = None) -> None:
    content = Content(subject="s", body="b", sender="Anna <anna@example.org>")
    refs = system.enter(*ids, source=source)
    rows = [result(ref, key, content=content) for ref, key in zip(refs, ids, strict=True)]
    system.services.results.save(rows, shard="test")
    index()


def test_a_dry_run_counts_and_then_they_are_gone(system, index):
    mail(system, index, "a", "b")
    system.enter("waits")
    asked = {"sender": "anna@example.org", "dry_run": True}
    answer = system.client.post("/erase", asked).json
    assert answer == {"matched": 2, "erased": 0, "dry_run": True, "complete": True, "waiting": 1}
    assert system.client.get("/results/a").status == 200
    assert system.client.post("/erase", {"sender": "anna@example.org"}).json["erased"] == 2
    gone = system.client.get("/results/a")
    assert (gone.status, gone.json["state"]) == (404, "unknown")
    audit = system.client.get("/audit").json
    assert (audit["listed"], audit["queued"], audit["erased"]) == (3, 1, 2)
    assert system.client.get("/stats").json["total_emails_processed"] == 0


def test_a_source_limits_it_to_one_account(system, index):
    work = system.services.books.open_source("work", "http://work")
    mail(system, index, "a", "b")
    mail(system, index, "c", source=work)
    system.enter("waits", source=work)
    asked = {"sender": "anna@example.org"}
    counted = system.client.post("/erase?source=main", {**asked, "dry_run": True}).json
    assert (counted["matched"], counted["waiting"]) == (2, 0)
    answer = system.client.post("/erase?source=work", asked).json
    assert (answer["matched"], answer["erased"], answer["waiting"]) == (1, 1, 1)
    assert system.client.get("/audit").json["erased"] == 1
    assert system.client.post("/erase?source=other", asked).status == 404
    assert system.client.post("/erase", asked).json["erased"] == 2


def test_what_was_erased_is_in_no_file_any_more(system, index, tmp_path):
    mail(system, index, "a")
    assert any(b"anna@example.org" in file.read_bytes() for file in tmp_path.glob("emails.db*"))
    system.client.post("/erase", {"sender": "anna@example.org"})
    assert not any(b"anna@example.org" in file.read_bytes() for file in tmp_path.glob("emails.db*"))


def test_the_act_is_written_down_without_the_address(system, index):
    mail(system, index, "a")
    system.client.post("/erase", {"sender": "anna@example.org"})
    [act] = system.client.get("/actions").json["items"]
    assert (act["action"], act["detail"]) == ("POST /erase", {"emails": 1})
    assert "anna" not in system.client.get("/actions").body.decode()


def test_what_is_no_address_is_refused(system):
    assert system.client.post("/erase", {"sender": "..."}).status == 422
    assert system.client.post("/erase", {"sender": ""}).status == 422


def test_large_ones_go_slice_by_slice(system, index, monkeypatch):
    monkeypatch.setattr("web.erasing.LONGEST_S", -1.0)
    monkeypatch.setattr("web.erasing.SLICE", 2)
    monkeypatch.setattr("storage.erasing.Erasing.find.__defaults__", (0, 2))
    mail(system, index, "a", "b", "c")
    first = system.client.post("/erase", {"sender": "anna@example.org"}).json
    assert (first["erased"], first["complete"]) == (2, False)
    assert system.client.post("/erase", {"sender": "anna@example.org"}).json["complete"]
