"""Keys: every id has one, usually itself, and all except too long ids can be recovered from their keys."""

from hypothesis import given
from hypothesis import strategies as st

from storage.keys import email_key, escape_id, hashed_key, is_hashed, shown_key, unescape_id

ANY_TEXT = st.text(st.characters(categories=["Cs", "Cc", "L", "N", "P", "S", "Z"]) | st.sampled_from("\\#u0\x00\ud800"))


@given(ANY_TEXT)
def test_every_id_comes_back_from_its_key(email_id):
    key = escape_id(email_id)
    assert unescape_id(key) == email_id
    assert "\x00" not in key
    key.encode()


@given(st.text(st.characters(exclude_characters="\\\x00", exclude_categories=["Cs"])))
def test_ordinary_ids_are_their_own_keys(email_id):
    assert escape_id(email_id) == email_id


@given(ANY_TEXT)
def test_no_escaped_id_looks_like_a_hash(email_id):
    assert not is_hashed(escape_id(email_id))


def test_an_id_over_512_bytes_goes_by_its_hash():
    assert email_key("é" * 256) == "é" * 256
    long = "é" * 257
    key = email_key(long)
    assert key == hashed_key(long)
    assert is_hashed(key)
    assert unescape_id(key) == key
    assert shown_key(key) == key
    assert shown_key(long) == key
