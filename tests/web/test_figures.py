"""The figures: one snapshot of SQL, mailboxes and heartbeats, shared by many readers; and their history."""

import gevent
import gevent.event
import pytest

from engine.canary import canary
from engine.mailbox import Depth, Envelope
from web.cached import Shared
from web.figures import by_priority, oldest_age, queue_of, settled


def test_before_the_first_email_figures_are_null_or_zero(system):
    stats = system.client.get("/stats").json
    assert stats["total_emails_processed"] == 0
    assert stats["emails_by_classification"] == {"meeting": 0, "promotion": 0, "intro": 0, "unknown": 0}
    for name in (
        "avg_processing_time_ms",
        "p50_processing_time_ms",
        "success_rate",
        "last_processed_at",
        "last_history_id",
    ):
        assert stats[name] is None


def test_they_say_whether_the_system_is_paused(system):
    assert system.client.get("/stats").json["paused"] is False
    system.client.post("/actors/pause")
    assert system.client.get("/stats").json["paused"] is True
    assert system.client.get("/stats?source=main").json["paused"] is True


def test_they_agree_with_the_books(system):
    system.process("a", "b")
    system.process("c", label="promotion")
    system.bury("d")
    system.enter("e", "f")
    stats, audit = system.client.get("/stats").json, system.client.get("/audit").json
    assert stats["total_emails_processed"] == audit["results"] == sum(stats["emails_by_classification"].values()) == 3
    assert stats["queue_depth"] == audit["queued"] + audit["retrying"] == 2
    assert sum(stats["queue_depth_by_priority"].values()) == 2
    assert stats["dead_letters"] == audit["dead"] == 1
    assert stats["success_rate"] == 75
    assert stats["min_processing_time_ms"] == stats["max_processing_time_ms"] == 0.1
    assert stats["emails_per_minute"] == 3


def test_each_source_has_figures_of_its_own_and_together_they_are_those_of_all(system):
    sales = system.services.books.open_source("sales", "http://127.0.0.1:2")
    system.process("a", "b")
    system.process("a", source=sales, label="promotion", processing_ms=8.0)
    system.process("b", source=sales, label="promotion", processing_ms=2.0)
    system.enter("c", source=sales)
    system.bury("d")
    whole = system.client.get("/stats").json
    main, of_sales = (system.client.get(f"/stats?source={name}").json for name in ("main", "sales"))
    assert "source" not in whole
    assert (main["source"], of_sales["source"]) == ("main", "sales")
    for name in ("total_emails_processed", "dead_letters", "queue_depth", "emails_per_minute"):
        assert main[name] + of_sales[name] == whole[name], name
    assert of_sales["emails_by_classification"] == {"meeting": 0, "promotion": 2, "intro": 0, "unknown": 0}
    assert of_sales["queue_depth_by_priority"] == {"high": 0, "normal": 1, "low": 0}
    assert 0 <= of_sales["oldest_queued_age_seconds"] < 60
    assert main["oldest_queued_age_seconds"] is None
    assert (of_sales["min_processing_time_ms"], of_sales["avg_processing_time_ms"]) == (2.0, 5.0)
    assert (of_sales["p50_processing_time_ms"], of_sales["p99_processing_time_ms"]) == (2.0, 8.0)
    assert (main["success_rate"], of_sales["success_rate"]) == (pytest.approx(66.667), 100)
    assert of_sales["last_history_ids"] == {}
    assert (of_sales["error_count"], of_sales["retry_count"]) == (None, None)
    assert of_sales["nodes"] == whole["nodes"]


def test_figures_of_an_unknown_source_are_a_problem_that_names_the_known_ones(system):
    answer = system.client.get("/stats?source=nobody")
    assert (answer.status, answer.json["sources"]) == (404, ["main"])
    assert "nobody" in answer.json["detail"]


def test_workers_and_nodes_come_from_the_heartbeats(system):
    system.services.mailboxes.beat("other/front", {"node": "other", "role": "front"}, ttl=60)
    stats = system.client.get("/stats").json
    assert (stats["busy_workers"], stats["available_workers"], stats["nodes"]) == (1, 2, 2)


def test_the_oldest_waits_in_a_mailbox(system):
    system.enter("a")
    system.services.mailboxes.put("fetch", [Envelope(source="main", key="a", lane="low")])
    gevent.sleep(0.01)
    stats = system.client.get("/stats").json
    assert 0 < stats["oldest_queued_age_seconds"] < 10


def test_a_canary_in_a_mailbox_is_no_email_that_waits(system):
    system.services.mailboxes.put("fetch", [canary("c", ("classify",))])
    stats = system.client.get("/stats").json
    assert stats["oldest_queued_age_seconds"] is None
    assert (stats["queue_depth"], stats["queue_depth_by_priority"]) == (0, {"high": 0, "normal": 0, "low": 0})


def test_what_waits_in_the_books_stands_behind_the_lowest_lane_in_use():
    def depths(high, normal, low):
        lanes = {"high": high, "normal": normal, "low": low, "quarantine": 0}
        return {"fetch": {lane: Depth(messages=count, oldest_age=count * 1.0) for lane, count in lanes.items()}}

    assert by_priority(10, depths(1, 2, 3)) == {"high": 1, "normal": 2, "low": 7}
    assert by_priority(10, depths(1, 0, 0)) == {"high": 10, "normal": 0, "low": 0}
    assert by_priority(4, depths(0, 0, 0)) == {"high": 0, "normal": 4, "low": 0}
    assert oldest_age(depths(1, 2, 0)) == 2.0
    assert oldest_age(depths(0, 0, 0)) is None


def test_many_readers_cost_one_query(system, monkeypatch):
    asked = []
    original = system.services.results.stats

    def stats(now):
        asked.append(now)
        return original(now)

    monkeypatch.setattr(system.services.results, "stats", stats)
    readers = [gevent.spawn(system.client.get, "/stats") for _ in range(50)]
    assert {reader.get(timeout=20).status for reader in readers} == {200}
    assert len(asked) <= 2


def test_a_maker_that_fails_is_asked_again():
    answers = iter([ValueError("no"), 7])

    def make():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = Shared(make)
    with pytest.raises(ValueError):
        shared.get()
    assert shared.get() == 7


def test_nobody_gets_a_value_older_than_their_question():
    made: list[int] = []
    first_is_made, go_on = gevent.event.Event(), gevent.event.Event()

    def make():
        made.append(len(made))
        if len(made) == 1:
            first_is_made.set()
            go_on.wait(5)
        return made[-1]

    shared = Shared(make)
    early = gevent.spawn(shared.get)
    assert first_is_made.wait(5)
    late = [gevent.spawn(shared.get) for _ in range(20)]
    gevent.idle()
    go_on.set()
    assert early.get(timeout=20) == 0
    assert {each.get(timeout=20) for each in late} == {1}
    assert shared.get() == 2


def test_the_figures_know_a_result_the_moment_it_is_there(system):
    for count in range(1, 4):
        system.process(f"id-{count}")
        assert system.client.get("/stats").json["total_emails_processed"] == count


def test_figures_that_change_by_themselves_are_no_news(system):
    stats = system.app.figures.stats()
    assert settled({**stats, "uptime_seconds": 1}) == settled({**stats, "uptime_seconds": 2})
    assert set(queue_of(stats)) == {"queue_depth", "queue_depth_by_priority", "oldest_queued_age_seconds"}


def test_the_timeseries_has_every_bucket_also_the_empty_ones(system):
    at = 1_767_225_600.0  # 2026-01-01T00:00:00Z
    system.process("a", "b", processed_at=at + 61)
    series = system.client.get("/stats/timeseries?from=2026-01-01T00:00:00Z&to=2026-01-01T00:03:00Z").json
    assert [bucket["total"] for bucket in series["buckets"]] == [0, 2, 0]
    assert series["buckets"][1] == {
        "at": "2026-01-01T00:01:00.000Z",
        "total": 2,
        "counts": {"meeting": 2, "promotion": 0, "intro": 0, "unknown": 0},
    }
    hours = system.client.get("/stats/timeseries?step=hour&from=2026-01-01&to=2026-01-02").json
    assert len(hours["buckets"]) == 24
    assert hours["buckets"][0]["total"] == 2


def test_the_timeseries_of_one_among_several_sources_is_refused_rather_than_that_of_all(system):
    assert system.client.get("/stats/timeseries?source=main").status == 200
    system.services.books.open_source("sales", "http://127.0.0.1:2")
    refused = system.client.get("/stats/timeseries?source=main")
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "source")


def test_without_a_span_it_is_the_last_hour_or_day(system):
    assert len(system.client.get("/stats/timeseries").json["buckets"]) in (60, 61)
    assert len(system.client.get("/stats/timeseries?step=hour").json["buckets"]) in (24, 25)


@pytest.mark.parametrize(("step", "end"), [("minute", "0001-01-01T00:01Z"), ("hour", "0001-01-01")])
def test_no_span_begins_before_the_calendar(system, step, end):
    series = system.client.get(f"/stats/timeseries?step={step}&to={end}")
    assert (series.status, series.json["from"]) == (200, "0001-01-01T00:00:00.000Z")


def test_spans_that_cannot_be_are_400(system):
    for query in (
        "from=2026-01-02&to=2026-01-01",
        "from=2020-01-01&to=2026-01-01",
        "step=day",
        "from=x",
        "to=9999-12-31T23:59:59Z&from=0001-01-01",
    ):
        assert system.client.get(f"/stats/timeseries?{query}").status == 400, query
