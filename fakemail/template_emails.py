"""Thirteen emails, written for this project, to try the system with: at least three of each class, some not easy.

`GET /simulator/template-emails` returns them in the form that `POST /simulator/send_batch` takes. `expected` is the
label that a person would choose; it is dropped when the email is sent.
"""

from typing import Any

_ME = "you@example.net"


def _email(expected: str, sender: str, subject: str, *lines: str, **headers: str) -> dict[str, Any]:
    return {
        "subject": subject,
        "body": "\n\n".join(lines),
        "sender": sender,
        "recipient": _ME,
        "headers": headers,
        "expected": expected,
    }


TEMPLATE_EMAILS = [
    _email(
        "meeting",
        "Mira Holt <mira.holt@example.com>",
        "Thursday at 10 for the water report?",
        "Hi, could we sit down on Thursday at 10 to go through the water report? Half an hour is plenty.",
        "If that does not work, Friday before lunch is free on my side as well.\nMira",
    ),
    _email(
        "meeting",
        "calendar@example.org",
        "Updated: planning round, Tue 14:00-15:00",
        "The organiser has moved this event from room 2 to room 5.",
        "When: Tuesday, 14:00 to 15:00\nWhere: room 5, or by video\nGoing: yes / maybe / no",
        **{"Content-Class": "urn:content-classes:calendarmessage"},
    ),
    _email(
        "meeting",
        "Jonas <jonas@example.com>",
        "Re: lunch",
        "Tuesday is bad, sorry. Wednesday half past twelve at the noodle place?",
    ),
    _email(
        "promotion",
        "Oakleaf Shoes <news@oakleaf.example>",
        "Two days only: 30 % off every walking boot",
        "Our spring sale ends on Sunday at midnight. Use the code PATH30 at the till.",
        "You get this because you signed up in our shop. Unsubscribe with one click.",
        **{"List-Unsubscribe": "<https://oakleaf.example/out>"},
    ),
    _email(
        "promotion",
        "Dana from Ledgerly <dana@ledgerly.example>",
        "Quick question about your invoicing",
        "I noticed that teams of your size lose about six hours a week on invoices. Ledgerly brings that to one.",
        "Would it be crazy to try it free for a month? I can set up a trial account for you today.",
    ),
    _email(
        "promotion",
        "Friends of the Harbour <post@harbour.example>",
        "Last chance to double your gift",
        "Until Friday every euro given to the harbour fund is matched by our sponsors. Please give today.",
        Precedence="bulk",
    ),
    _email(
        "intro",
        "Priya Nair <priya@example.com>",
        "Ben, meet Lucia",
        "Ben, Lucia runs the seed library in Porto that I told you about. Lucia, Ben builds the irrigation sensors.",
        "I think that you two should talk. I leave you to it!\nPriya",
    ),
    _email(
        "intro",
        "Tomasz Zielinski <tomasz@example.com>",
        "Your new colleague says hello",
        "Hello everybody, I am Tomasz, and on Monday I started in the mapping team.",
        "Before that I drew nautical charts for eight years. I look forward to getting to know all of you.",
    ),
    _email(
        "intro",
        "Plotline <hello@plotline.example>",
        "Welcome to Plotline",
        "Thank you for signing up. Your workspace is ready; here is where to find things in your first week.",
    ),
    _email(
        "unknown",
        "build@example.org",
        "[nightly] 3 tests failed on branch release-4",
        "test_rotate, test_rotate_twice and test_flush failed after commit 71c2e0d. The log is attached.",
        **{"Auto-Submitted": "auto-generated"},
    ),
    _email(
        "unknown",
        "Ines <ines@example.com>",
        "Notes of yesterday's meeting",
        "Attached are the notes. We agreed to keep the old pump until June and to measure again after that.",
    ),
    _email(
        "unknown",
        "Railway shop <receipt@rail.example>",
        "Your receipt 20931",
        "Thank you for your purchase. Paid: 24.80 by card. Keep this receipt for your records.",
    ),
    _email(
        "unknown",
        "Sara <sara@example.com>",
        "Vélo trouvé ?",
        "Salut, quelqu'un a laissé un vélo bleu devant le bureau. Si c'est le tien, la clé est chez moi.",
    ),
]
