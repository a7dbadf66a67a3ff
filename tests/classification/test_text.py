"""HTML reads as its reader sees it, and oddities are cleaned and named."""

from classification.text import html_to_text, read


def test_html_reads_as_text():
    text = read(
        "x",
        "<html><head><style>p {color: red}</style></head><body><p>Hello&nbsp;<b>you</b></p><script>x()</script></body></html>",
    )
    assert text.own.split() == ["Hello", "you"]
    assert "html" in text.flags


def test_pictures_read_as_their_alternative_text():
    assert "Spring sale" in html_to_text('<html><img src="a.png" alt="Spring sale" width=1></html>')


def test_a_less_than_sign_is_no_html():
    assert "html" not in read("x", "a < b and ann <ann@example.com>").flags


def test_an_unclosed_script_hides_nothing():
    assert "visible" in html_to_text("<body><script>visible")


def test_invisible_characters_are_removed_and_flagged():
    text = read("x", "sa\u200ble \u202enow")
    assert text.own == "sale now"
    assert "hidden_characters" in text.flags


def test_full_width_letters_are_folded():
    assert read("x", "\uff2d\uff25\uff25\uff34").own == "MEET"


def test_lone_surrogates_are_replaced_and_flagged():
    text = read("x", "a\ud800b")
    text.own.encode("utf-8")
    assert "broken_unicode" in text.flags


def test_long_text_is_cut_and_flagged():
    assert "truncated" in read("x", "word " * 100_000).flags


def test_nothing_to_read_is_flagged():
    assert "empty" in read(" ", "\n").flags


def test_a_cut_is_flagged_whether_it_is_the_body_or_the_subject():
    assert "truncated" in read("x" * 10_000, "short").flags
    assert "truncated" in read("short", "x" * 1_000_000).flags
    assert "truncated" not in read("x" * 900, "x" * 900).flags
