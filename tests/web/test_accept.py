"""Which clients get a page, and which get JSON."""

import pytest

from web.accept import prefers_html

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    ["text/html", "TEXT/HTML", CHROME, "text/html,*/*", "text/html, application/json", "text/html;q=0.9, */*;q=0.1",
     "text/html; level=1; q=0.5", "application/json;q=0, text/html;q=0.1", "text/html;q=x"],
)  # fmt: skip
def test_a_page_goes_to_who_names_it_and_likes_nothing_better(accept):
    assert prefers_html(accept)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "text/*", "text/htmlx", "application/json, text/html;q=0.5", "text/html;q=0",
     "text/html;q=0.0, */*", "text/html; q=0.2, application/*;q=0.3", ",;,q=1"],
)  # fmt: skip
def test_all_others_get_json(accept):
    assert not prefers_html(accept)
