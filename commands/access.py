"""Access control from the settings, and warnings at the start if everybody may get in.

Used by commands/front.py, by commands/process.py for a worker node's status, and by commands/simulator_process.py.
"""

import logging
from dataclasses import replace

from commands.accounts import credentials
from engine.errors import SettingsError
from settings import Settings, is_loopback
from web.services import Access

log = logging.getLogger(__name__)


def access_of(settings: Settings) -> Access:
    """Return the access settings."""
    return Access(
        api_token=settings.api_token,
        api_token_readonly=settings.api_token_readonly,
        allow_anonymous=settings.allow_anonymous,
        allowed_hosts=settings.allowed_hosts,
        cors_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
        metrics_token=settings.metrics_token,
        session_s=settings.session_s,
        webhook_rate=settings.webhook_rate_limit,
        api_rate=settings.api_rate_limit,
        login_rate=settings.login_rate_limit,
    )


def simulator_access(host: str, settings: Settings) -> Access | None:
    """Return who may use a stand-alone simulator; None: anybody.

    On loopback these are local requests, beyond it callers with API_TOKEN. Raises SettingsError if that would be
    anybody and ALLOW_ANONYMOUS does not say so.
    """
    if is_loopback(host):
        return Access(allowed_hosts=settings.allowed_hosts, cors_origins=settings.cors_origins, api_rate=0)
    if settings.api_token:
        return replace(access_of(settings), api_rate=0)
    if not settings.allow_anonymous:
        raise SettingsError(
            f"--host {host} listens beyond loopback without a token: set API_TOKEN (callers send it as a bearer token, the processor as FAKEMAIL_API_TOKEN), "
            "or ALLOW_ANONYMOUS=true if only trusted people can reach it"
        )
    log.warning(
        "API_TOKEN IS NOT SET and ALLOW_ANONYMOUS is: whoever reaches %s may read, send and erase this mail", host
    )
    return None


def only_from_here(settings: Settings) -> bool:
    """Return whether only this machine can send requests, so that URLs in them may name its own services."""
    return is_loopback(settings.host) and not settings.trusted_proxies


def doors_opened(before: Settings, after: Settings) -> str:
    """Name the secrets that `before` has and `after` lacks, which would open a door.

    A secret's file may be empty for a moment while it is rewritten.
    """
    lost = [
        name.upper()
        for name in ("api_token", "metrics_token", "webhook_secret")
        if getattr(before, name) and not getattr(after, name)
    ]
    signed = {each.name for each in after.fakemail_sources if each.webhook_secret}
    named = {each.name for each in after.fakemail_sources}
    lost += [
        f"the webhook_secret of source {each.name}"
        for each in before.fakemail_sources
        if each.webhook_secret and each.name in named - signed
    ]
    return f"{', '.join(lost)} {'is' if len(lost) == 1 else 'are'}" if lost else ""


def warn_if_open(settings: Settings) -> None:
    """Warn loudly about what strangers could do with these settings."""
    open_ones = [name for name, (_, secrets) in credentials(settings).items() if not secrets]
    if not is_loopback(settings.host) and open_ones:
        log.warning(
            "WEBHOOK_SECRET IS NOT SET (source %s) and HOST=%s is reached from elsewhere: anybody may send webhooks. "
            "`python3 run.py secret new` makes a secret for FakeMail and for us",
            ", ".join(open_ones),
            settings.host,
        )
    if not is_loopback(settings.host) and not settings.api_token:
        log.warning(
            "API_TOKEN IS NOT SET and ALLOW_ANONYMOUS is: whoever reaches HOST=%s by a loopback name may do all",
            settings.host,
        )
