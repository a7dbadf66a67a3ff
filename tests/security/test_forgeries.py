"""A hundred thousand forged signatures: none is accepted. tests/web/test_forged.py sends some to the application."""

import base64
import random
import time
from collections.abc import Iterator

from fakemail.signature import SignatureError, new_secret, sign, verify

FORGERIES = 100_000
OURS, OTHER = new_secret(), new_secret()
BODY = b'{"history_id": 42}'
NOW = int(time.time())


def good(rng: random.Random) -> tuple[dict[str, str], bytes]:
    msg_id = f"msg_{rng.randrange(1 << 30)}"
    return {
        "webhook-id": msg_id,
        "webhook-timestamp": str(NOW),
        "webhook-signature": sign(OURS, msg_id, NOW, BODY),
    }, BODY


def forgeries(seed: int, count: int) -> Iterator[tuple[dict[str, str], bytes]]:
    """Yield good deliveries, each spoilt in one way, so that none is valid."""
    rng = random.Random(seed)
    ways = [
        lambda h, b: ({**h, "webhook-signature": flipped(h["webhook-signature"], rng)}, b),
        lambda h, b: ({**h, "webhook-signature": sign(OTHER, h["webhook-id"], NOW, b)}, b),
        lambda h, b: ({**h, "webhook-id": h["webhook-id"] + rng.choice("x.0 \u00fc")}, b),
        lambda h, b: ({**h, "webhook-timestamp": str(NOW + rng.choice((-1, 1)) * rng.randint(1, 299))}, b),
        lambda h, b: ({**h, "webhook-timestamp": str(NOW + rng.choice((-1, 1)) * rng.randint(301, 10**9))}, b),
        lambda h, b: (signed_at(h, b, NOW + rng.choice((-1, 1)) * rng.randint(302, 10**6)), b),
        lambda h, b: ({**h, "webhook-timestamp": "".join(chr(0x660 + int(digit)) for digit in str(NOW))}, b),
        lambda h, b: (
            {
                **h,
                "webhook-timestamp": rng.choice((f" {NOW}", f"{NOW} ", f"+{NOW}", f"{NOW}.0", f"0x{NOW:x}", "", "-1")),
            },
            b,
        ),
        lambda h, b: (h, b.replace(b" ", b"")),
        lambda h, b: (h, b + rng.randbytes(rng.randint(1, 4))),
        lambda h, b: (h, b[: rng.randrange(len(b))]),
        lambda h, b: (
            {
                **h,
                "webhook-signature": h["webhook-signature"].replace(
                    "v1,", rng.choice(("v1a,", "v2,", "", "V1,", "v1;", "v1, "))
                ),
            },
            b,
        ),
        lambda h, b: (
            {**h, "webhook-signature": h["webhook-signature"][: rng.randrange(len(h["webhook-signature"]))]},
            b,
        ),
        lambda h, b: (
            {
                **h,
                "webhook-signature": "v1," + base64.b64encode(rng.randbytes(rng.choice((0, 16, 31, 32, 33)))).decode(),
            },
            b,
        ),
        lambda h, b: (
            {**h, "webhook-signature": " ".join(["v1," + "A" * 43 + "="] * 256 + [h["webhook-signature"]])},
            b,
        ),
        lambda h, b: (without(h, rng.choice(list(h))), b),
        lambda h, b: ({**h, "webhook-id": "", "webhook-signature": sign(OURS, "x", NOW, b)}, b),
        lambda h, b: ({**h, "webhook-signature": "\u0661" + h["webhook-signature"]}, b),
        lambda h, b: shifted(b),
    ]
    for _ in range(count):
        yield rng.choice(ways)(*good(rng))


def flipped(signature: str, rng: random.Random) -> str:
    at = rng.randrange(3, len(signature) - 2)  # the last character before the padding has unused bits
    return (
        signature[:at]
        + rng.choice([char for char in "ABCXYZabcxyz019+/" if char != signature[at]])
        + signature[at + 1 :]
    )


def signed_at(headers: dict[str, str], body: bytes, at: int) -> dict[str, str]:
    return {**headers, "webhook-timestamp": str(at), "webhook-signature": sign(OURS, headers["webhook-id"], at, body)}


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in headers.items() if each != name}


def shifted(body: bytes) -> tuple[dict[str, str], bytes]:
    """Move a dot from the body into the id: the signed text stays the same."""
    signature = sign(OURS, "a", NOW, b"1." + body)
    return {"webhook-id": f"a.{NOW}", "webhook-timestamp": "1", "webhook-signature": signature}, body


def test_good_deliveries_are_good():
    rng = random.Random(1)
    for _ in range(100):
        verify((OURS, OTHER), *good(rng), NOW)


def test_no_forgery_of_a_hundred_thousand_is_accepted():
    refused = 0
    for headers, body in forgeries(7, FORGERIES):
        try:
            verify((OURS, "plain-old-secret"), headers, body, NOW)
        except SignatureError:
            refused += 1
    assert refused == FORGERIES
