import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakemail.signature import SignatureError, key_of, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_614_265_330
BODY = b'{"test": 2432232314}'
KNOWN = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(signature: str, msg_id: str = "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: str = str(NOW)) -> dict[str, str]:
    return {"webhook-id": msg_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def test_the_example_of_the_standard_comes_out_as_published() -> None:
    assert sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, BODY) == KNOWN
    verify((SECRET,), headers(KNOWN), BODY, NOW)


@given(st.binary(max_size=200), st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1))
def test_what_is_signed_verifies_and_nothing_else_does(body: bytes, msg_id: str) -> None:
    signature = sign("plain", msg_id, NOW, body)
    verify(("plain",), headers(signature, msg_id), body, NOW)
    for changed in ((headers(signature, msg_id + "x"), body), (headers(signature, msg_id), body + b" ")):
        with pytest.raises(SignatureError):
            verify(("plain",), *changed, NOW)


@given(st.text(max_size=60))
def test_no_text_makes_verifying_fail_in_another_way(text: str) -> None:
    for given_headers in (headers(text), headers("v1," + text), headers(KNOWN, text), headers(KNOWN, "a", text)):
        with pytest.raises(SignatureError):
            verify(("other",), given_headers, BODY, NOW)


@pytest.mark.parametrize(
    ("signature", "timestamp", "now", "reason"),
    [
        ("", NOW, NOW, "missing"),
        (KNOWN, "", NOW, "missing"),
        (KNOWN, "1e9", NOW, "malformed"),
        (KNOWN, "-1", NOW, "malformed"),
        (KNOWN, "\u0661", NOW, "malformed"),
        (KNOWN, NOW, NOW + 301, "expired"),
        (KNOWN, NOW, NOW - 301, "expired"),
        (KNOWN.removeprefix("v1,"), NOW, NOW, "malformed"),
        ("v1a," + KNOWN[3:], NOW, NOW, "malformed"),
        ("v1,", NOW, NOW, "mismatch"),
        (KNOWN[:-1], NOW, NOW, "mismatch"),
        (KNOWN.swapcase(), NOW, NOW, "malformed"),
        (KNOWN, NOW - 1, NOW, "mismatch"),
    ],
)
def test_each_defect_has_its_reason(signature: str, timestamp: object, now: float, reason: str) -> None:
    with pytest.raises(SignatureError) as caught:
        verify((SECRET,), headers(signature, timestamp=str(timestamp)), BODY, now)
    assert caught.value.reason == reason


def test_a_message_within_five_minutes_of_our_clock_is_taken() -> None:
    verify((SECRET,), headers(KNOWN), BODY, NOW + 300)
    verify((SECRET,), headers(KNOWN), BODY, NOW - 300)


def test_header_names_come_in_any_case() -> None:
    verify((SECRET,), {name.title(): value for name, value in headers(KNOWN).items()}, BODY, NOW)


def test_while_secrets_are_rotated_any_verifies() -> None:
    verify(("plain-new", SECRET), headers(KNOWN), BODY, NOW)


def test_one_good_signature_among_several_is_enough() -> None:
    verify((SECRET,), headers(f"v1a,xyz v1,{'A' * 43}= {KNOWN}"), BODY, NOW)


def test_a_good_signature_behind_very_many_is_not_looked_for() -> None:
    with pytest.raises(SignatureError):
        verify((SECRET,), headers("v1,x " * 16 + KNOWN), BODY, NOW)


def test_secrets_are_base64_after_whsec_and_plain_text_otherwise() -> None:
    key = secrets.token_bytes(24)
    text = base64.b64encode(key).decode()
    assert key_of(f"whsec_{text.rstrip('=')}") == key
    assert key_of("plain") == b"plain"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not-base64!"])
def test_an_unusable_secret_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError) as caught:
        key_of(secret)
    assert "base64!" not in str(caught.value)
