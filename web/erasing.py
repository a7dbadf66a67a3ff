"""`POST /erase`: delete what is stored of a sender, for good. The request may be repeated until `complete`."""

import time
from typing import Any

import gevent

from storage.erasing import SLICE, Erasing, has_tokens
from web.dispatch import Call
from web.problems import misfit

LONGEST_S = 10.0


def erase(call: Call) -> dict[str, Any]:
    """Erase all emails of one sender, in any state: text, result, dead letters, failed attempts, search index.

    Without `source`, those of all accounts. This cannot be undone; `dry_run` only counts. The ids stay in the books as
    `erased`, so that the next listing does not bring the emails back and the books balance. The senders of emails that
    still wait (`waiting`) are not known yet: repeat the request when they are processed. Events already sent and backups
    keep their contents until they expire.
    """
    sender: str = call.body.sender.strip()
    if not has_tokens(sender):
        raise misfit("sender", "must be an address")
    store = Erasing(call.services.database, shard=f"{call.services.node}/erasing")
    source: str | None = call.query.source
    matched, erased, complete = _walk(store, sender, source, dry_run=call.body.dry_run)
    if erased:
        store.wipe()
        call.app.actions.write(call.environ, call.route.path, {"emails": erased}, 200)
    return {
        "matched": matched,
        "erased": erased,
        "dry_run": call.body.dry_run,
        "complete": complete,
        "waiting": store.open(source),
    }


def _walk(store: Erasing, sender: str, source: str | None, *, dry_run: bool) -> tuple[int, int, bool]:
    """Erase slice by slice, for as long as a request may take; return matched, erased and complete."""
    matched = erased = after = 0
    deadline = time.monotonic() + LONGEST_S
    while refs := store.find(sender, after, source=source):
        matched += len(refs)
        if not dry_run:
            erased += store.erase(refs)
        after = refs[-1]
        if len(refs) < SLICE:
            break
        if time.monotonic() > deadline:
            return matched, erased, False
        gevent.sleep(0)
    return matched, erased, True
