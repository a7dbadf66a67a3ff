"""Bytes become text whatever charset they claim, and encoded header words are decoded."""

import pytest

from classification.charsets import decode_bytes, decode_header_value


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"caf\xe9", "iso-8859-1", "café"),
        ("café".encode(), "", "café"),
        (b"caf\xe9", "", "café"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"abc", "no-such-charset", "abc"),
        (b"abc", "rot13", "abc"),
        (b"abc", '"utf-8"', "abc"),
        ("здравствуй".encode("koi8-r"), "koi8-r", "здравствуй"),
    ],
)
def test_bytes_are_decoded(data, charset, text):
    assert decode_bytes(data, charset) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?Caf=C3=A9?= at noon", "Café at noon"),
        ("=?iso-8859-1?q?a?=\r\n =?iso-8859-1?q?b?=", "ab"),
        ("=?x-unknown?b?YWJj?=", "abc"),
    ],
)
def test_header_words_are_decoded(value, text):
    assert decode_header_value(value) == text
