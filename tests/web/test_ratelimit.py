"""Rate limits per client, tested on the bucket alone and through the application."""

from types import SimpleNamespace

from web.problems import Problem
from web.ratelimit import Buckets, RateLimits
from web.services import Access

FAR = {"REMOTE_ADDR": "198.51.100.7"}


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) == 0.5
    assert [buckets.take("a", 100.0) for _ in range(4)][:3] == [0, 0, 0]


def test_who_is_refused_does_not_wait_longer_by_asking():
    buckets = Buckets(rate=1, burst=1)
    buckets.take("a", 0.0)
    assert [buckets.take("a", 0.5) for _ in range(50)][-1] == 0.5
    assert buckets.take("a", 1.0) == 0


def test_one_client_does_not_spend_what_another_has():
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("a", 0.0) == buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.0) > 0


def test_any_number_of_addresses_costs_a_bounded_memory():
    buckets = Buckets(rate=1, burst=1, remembered=100)
    for number in range(100_000):
        buckets.take(str(number), 0.0)
    assert len(buckets._left) == 100


def refused(limits: RateLimits, kind: str, times: int, **environ: str) -> int:
    problems = []
    for _ in range(times):
        try:
            limits.check(kind, {**FAR, **environ})
        except Problem as problem:
            problems.append(problem)
    assert {problem.status for problem in problems} <= {429}
    assert all(int(dict(problem.headers)["Retry-After"]) >= 1 for problem in problems)
    return len(problems)


def test_by_default_others_are_limited_and_this_machine_is_not(monkeypatch):
    monkeypatch.setattr("web.ratelimit.time", SimpleNamespace(monotonic=lambda: 1000.0))
    limits = RateLimits(Access())
    assert refused(limits, "webhook", 2000) == 1600
    assert refused(limits, "webhook", 2000, REMOTE_ADDR="127.0.0.1") == 0
    assert refused(limits, "api", 400) == 200
    assert refused(limits, "login", 100) == 70


def test_what_a_tunnel_brings_to_this_machine_is_not_its_own(monkeypatch):
    """Webhooks and guessed tokens; any other request through it needs a token."""
    monkeypatch.setattr("web.ratelimit.time", SimpleNamespace(monotonic=lambda: 1000.0))
    limits, tunnel = RateLimits(Access()), {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "8.8.8.8"}
    assert refused(limits, "webhook", 2000, **tunnel) == 1600
    assert refused(limits, "login", 100, **tunnel) == 70
    assert refused(limits, "api", 400, **tunnel) == 0


def test_a_limit_that_is_set_holds_for_everybody_and_0_is_none():
    limits = RateLimits(Access(api_rate=1, webhook_rate=0))
    assert refused(limits, "api", 10, REMOTE_ADDR="127.0.0.1") == 8
    assert refused(limits, "webhook", 5000) == 0


def test_behind_a_trusted_proxy_each_client_has_its_own_and_cannot_invent_others():
    limits = RateLimits(Access(api_rate=1, trusted_proxies=("127.0.0.1",)))
    proxy = {"REMOTE_ADDR": "127.0.0.1"}
    assert refused(limits, "api", 10, **proxy, HTTP_X_FORWARDED_FOR="1.1.1.1") == 8
    assert refused(limits, "api", 2, **proxy, HTTP_X_FORWARDED_FOR="2.2.2.2") == 0
    spoofed = sum(refused(limits, "api", 1, **proxy, HTTP_X_FORWARDED_FOR=f"9.9.9.{n}, 1.1.1.1") for n in range(10))
    assert spoofed == 10


def test_a_client_that_asks_too_often_gets_429_and_health_is_always_answered(system):
    client = system.with_access(api_rate=1, webhook_rate=1)
    assert [client.get("/stats").status for _ in range(4)] == [200, 200, 429, 429]
    assert client.get("/nothing/here").status == 429
    assert int(client.get("/stats").headers["retry-after"]) >= 1
    assert client.get("/stats").headers["content-type"] == "application/problem+json"
    assert {client.get("/health/live").status for _ in range(10)} == {200}
    hooks = [client.post("/webhook", {"history_id": n}).status for n in range(4)]
    assert hooks == [202, 202, 429, 429]


def guess(client, times: int, **headers: str) -> list[int]:
    return [client.get("/stats", Authorization=f"Bearer wrong-{n}", **headers).status for n in range(times)]


def test_wrong_tokens_are_slowed_down_and_who_was_let_in_from_there_goes_on(system):
    client = system.with_access(api_token="right", login_rate=3)
    assert client.get("/stats", Authorization="Bearer right").status == 200
    assert guess(client, 5) == [401, 401, 401, 429, 429]
    assert client.get("/stats", Authorization="Bearer right").status == 200
    assert client.get("/stats").status == 401


def test_who_guesses_too_often_is_not_told_of_the_right_one_until_he_has_waited(system, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("web.ratelimit.time", SimpleNamespace(monotonic=lambda: now[0]))
    client = system.with_access(api_token="right", api_token_readonly="reads", login_rate=3)
    assert client.get("/stats", Authorization="Bearer reads").status == 200
    assert guess(client, 4) == [401, 401, 401, 429]
    refused = client.get("/stats", Authorization="Bearer right")
    assert refused.status == 429
    assert client.get("/stats", Authorization="Bearer reads").status == 200
    now[0] += int(refused.headers["retry-after"])
    assert client.get("/stats", Authorization="Bearer right").status == 200
    assert guess(client, 2) == [401, 429]
    assert client.get("/stats", Authorization="Bearer right").status == 200


def test_a_changed_token_has_to_be_shown_anew(system):
    client = system.with_access(api_token="right", login_rate=3)
    assert client.get("/stats", Authorization="Bearer right").status == 200
    client.app.use(Access(api_token="other", login_rate=3), {"main": ""})
    assert guess(client, 4)[-1] == 429
    assert client.get("/stats", Authorization="Bearer other").status == 429


def test_a_guessed_metrics_token_is_refused_as_well(system):
    client = system.with_access(metrics_token="right", login_rate=3)
    wrong = [client.get("/metrics", Authorization="Bearer wrong").status for _ in range(4)]
    assert wrong == [401, 401, 401, 429]
    assert client.get("/metrics", Authorization="Bearer right").status == 429


def test_a_login_by_the_page_stays_usable_while_a_neighbour_guesses(system):
    client = system.with_access(api_token="right", login_rate=3)
    assert client.post("/login", {"token": "right"}).status == 200
    guess(client, 10)
    reply = client.post("/login", {"token": "right"})
    assert reply.status == 200
    cookie = reply.headers["set-cookie"].partition(";")[0]
    assert {client.get("/stats", Cookie=cookie).status for _ in range(3)} == {200}


def test_guesses_through_a_proxy_that_nobody_named_are_limited_though_they_come_from_this_machine(system):
    client = system.with_access(api_token="right")
    far = {"X-Forwarded-For": "203.0.113.9"}
    assert guess(client, 40) == [401] * 40
    assert guess(client, 31, **far)[-1] == 429
    assert client.get("/stats", Authorization="Bearer right", **far).status == 429
    assert client.get("/stats", Authorization="Bearer right").status == 200


def test_every_429_is_counted_by_its_kind(system):
    counted: list[str] = []
    system.services.refused = counted.append
    client = system.with_access(api_token="right", login_rate=2, webhook_rate=1)
    assert guess(client, 4)[2:] == [429, 429]
    assert client.get("/stats", Authorization="Bearer right").status == 429
    assert [client.post("/webhook", {"history_id": n}).status for n in range(3)][-1] == 429
    answers = [client.post("/login", {"token": "wrong"}).status for _ in range(2)]
    assert answers == [429, 429]
    assert counted == ["login"] * 3 + ["webhook"] + ["login"] * 2
