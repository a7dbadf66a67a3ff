"""The review queue over HTTP: ranked, paged, with every opinion; a correction removes an email from it."""

from dataclasses import replace

from engine.errors import DependencyTrouble

CHANCES = {"meeting": 0.4, "promotion": 0.35, "intro": 0.15, "unknown": 0.1}
TORN = {"confidence": 0.4, "probabilities": CHANCES}


class Opinionated:
    """A FakeMail that calls everything a promotion, until it is down."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def classify(self, subject, body):
        self.asked.append(subject)
        if len(self.asked) > self.answers:
            raise DependencyTrouble("refused", dependency="fakemail")
        return "promotion", 0.8


def with_fakemail(system, answers):
    account = Opinionated(answers)
    system.services.sources = {"main": replace(system.services.sources["main"], client=account)}
    return account


def ids(page):
    return [each["result"]["email_id"] for each in page["items"]]


def test_the_least_certain_come_first_page_by_page(system, index):
    system.process("a", **TORN)
    system.process("b", confidence=0.5, probabilities={**CHANCES, "meeting": 0.5, "promotion": 0.25})
    system.process("sure")
    index()
    page = system.client.get("/review?limit=1").json
    assert (ids(page), page["total"]) == (["a"], 2)
    (item,) = page["items"]
    assert (item["reasons"], item["model"], item["similar"], item["score"]) == (["uncertain"], "meeting", 2, 0.95)
    assert (item["subject"], item["shadow"], item["rule"], item["fakemail"]) == ("subject of a", None, None, None)
    second = system.client.get(f"/review?limit=1&cursor={page['next_cursor']}").json
    assert (ids(second), second["next_cursor"]) == (["b"], None)


def test_a_correction_takes_it_out(system):
    system.process("a", **TORN)
    system.client.post("/emails/a/label", {"classification": "intro"})
    assert system.client.get("/review").json["items"] == []


def test_fakemail_is_asked_only_when_wanted_and_its_opinion_is_kept(system):
    account = with_fakemail(system, answers=10)
    system.process("a", **TORN)
    assert system.client.get("/review?ask_fakemail=true").json["items"][0]["fakemail"] is None
    assert account.asked == []
    asked = system.client.post("/review/opinions").json["items"][0]
    assert asked["fakemail"]["classification"] == "promotion"
    assert asked["reasons"] == ["uncertain", "fakemail"]
    assert system.client.get("/review").json["items"][0]["fakemail"]["confidence"] == 0.8
    assert system.client.post("/review/opinions").json["items"] == system.client.get("/review").json["items"]
    assert account.asked == ["subject of a"]
    assert system.client.get("/results/a").json["classification"] == "meeting"


def test_a_fakemail_that_fails_is_asked_no_further(system):
    account = with_fakemail(system, answers=1)
    system.process("a", "b", "c", **TORN)
    items = system.client.post("/review/opinions").json["items"]
    assert sorted(each["fakemail"] is not None for each in items) == [False, False, True]
    assert len(account.asked) == 2


def test_only_who_may_act_has_fakemail_asked_and_of_the_page_that_is_named(system):
    account = with_fakemail(system, answers=10)
    client = system.with_access(api_token="full", api_token_readonly="read")
    system.process("a", "b", **TORN)
    assert client.post("/review/opinions", Authorization="Bearer read").status == 403
    assert client.post("/review/opinions", Origin="https://evil.example", Authorization="Bearer full").status == 403
    assert account.asked == []
    first = client.post("/review/opinions?limit=1", Authorization="Bearer full").json
    assert (ids(first), account.asked) == (["b"], ["subject of b"])
    query = f"limit=1&cursor={first['next_cursor']}"
    second = client.post(f"/review/opinions?{query}", Authorization="Bearer full").json
    assert (ids(second), second["total"], account.asked) == (["a"], 2, ["subject of b", "subject of a"])
