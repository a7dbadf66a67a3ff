"""The work of initialize_fakemail.py: watch an account, subscribe its webhook, and with --test send an email through.

If FAKEMAIL_SOURCES is set (as for the server), every account is prepared, or the one that --source names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from commands.accounts import beside, names, secrets_of
from commands.client import CommandError, Server, UsageError, problem
from commands.script import server_from_env, settings_from_env
from commands.simulated import wait_result
from commands.trials import SAMPLES, notify
from engine.mailbox import MAIN


@dataclass(frozen=True, slots=True)
class Target:
    """One account, and the webhook that it shall notify."""

    source: str
    url: str
    url_setting: str
    token: str | None
    token_setting: str
    secrets: Sequence[str]
    webhook_url: str


def initialize(fakemail: str | None, webhook_url: str | None, source: str | None, *, test: bool) -> None:
    """Watch and subscribe each account; with `test`, also send a notification and an email."""
    server = server_from_env()
    for target in _targets(server, fakemail, webhook_url, source):
        _prepare(server, target, test=test)


def _targets(server: Server, fakemail: str | None, webhook_url: str | None, source: str | None) -> list[Target]:
    settings = settings_from_env(
        "FAKEMAIL_API_URL", "FAKEMAIL_API_TOKEN", "FAKEMAIL_SOURCES", "WEBHOOK_SECRET", "WEBHOOK_URL"
    )
    base = _webhook_of(webhook_url) if webhook_url else settings.webhook_url or f"{server.base_url}/webhook"
    main_url = fakemail or settings.fakemail_api_url or f"{server.base_url}/simulator"
    url_setting, token_setting = "--fakemail or FAKEMAIL_API_URL", "FAKEMAIL_API_TOKEN"
    token, secrets = settings.fakemail_api_token, settings.webhook_secret
    found = {MAIN: Target(MAIN, main_url, url_setting, token, token_setting, secrets, base)}
    for each in settings.fakemail_sources:
        target = (None if webhook_url else each.webhook_url) or beside(base, each.name)
        url_setting = "--fakemail" if fakemail else f"the url of source {each.name} in FAKEMAIL_SOURCES"
        token_setting = f"the token of source {each.name} in FAKEMAIL_SOURCES"
        secrets = secrets_of(settings, each)
        url = fakemail or each.url
        found[each.name] = Target(each.name, url, url_setting, each.token, token_setting, secrets, target)
    known = tuple(found) if fakemail else names(settings)
    if source is not None and source not in known:
        here = "in this shell to the same value as for the server" + (
            f"; here it names {', '.join(known)}" if settings.fakemail_sources else ""
        )
        raise UsageError(f"unknown source {source!r}: set FAKEMAIL_SOURCES {here}")
    return [found[name] for name in ([source] if source else [MAIN] if fakemail else known)]


def _prepare(server: Server, target: Target, *, test: bool) -> None:
    account = server.fakemail(target.url, target.token, named_by=target.url_setting, authorized_by=target.token_setting)
    answer = account.post("/watch")
    if not isinstance(answer, dict) or "history_id" not in answer:
        raise CommandError(f"{target.url} is not a FakeMail: its /watch returns no history_id")
    history_id = answer["history_id"]
    print(f"  watching {target.url}: history id {history_id}")
    account.post("/subscribe", {"webhook_url": target.webhook_url})
    print(f"  subscribed {target.webhook_url}")
    if test:
        _try(server, account, target, history_id)


def _try(server: Server, account: Server, target: Target, history_id: int) -> None:
    body = f'{{"history_id": {history_id}}}'.encode()
    answer = notify(target.webhook_url, body, "application/json", target.secrets)
    if answer.status_code != 202:
        raise CommandError(f"the webhook {target.webhook_url} answered {problem(answer)}")
    print("  the webhook accepts notifications")
    subject, text = SAMPLES["meeting"]
    sent = account.request("POST", "/send_email", json={"subject": subject, "body": text})
    if sent.ok:
        result = wait_result(server, sent.json()["email_id"], source=target.source)
        print(
            f"  a test email was classified as {result['classification']} ({result['confidence']:.2f}) in {result['total_ms']} ms"
        )
    elif sent.status_code != 404:  # 404: a real FakeMail, which takes no test mail
        raise CommandError(f"the test email could not be sent: {problem(sent)}")


def _webhook_of(url: str) -> str:
    return f"{url.rstrip('/')}/webhook" if urlsplit(url).path in {"", "/"} else url
