"""Static files: only those present at the start, compressed, revalidated, with the right type."""

import gzip

import pytest

from web.assets import Assets
from web.docs import SWAGGER, swagger_folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "app.js").write_text("let a = 1;\n" * 500)
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


def test_a_file_comes_with_its_type_and_is_revalidated(system, folder):
    system.services.dashboard = folder
    reply = system.client.get("/static/js/app.js")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    again = system.client.get("/static/js/app.js", **{"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert "content-length" not in again.headers


def test_it_is_compressed_for_those_who_can(system, folder):
    system.services.dashboard = folder
    reply = system.client.get("/static/js/app.js", **{"Accept-Encoding": "gzip, br"})
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body) == (folder / "js" / "app.js").read_bytes()
    assert len(reply.body) < 500


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "..%2Fsecret.txt",
        "js/../../secret.txt",
        "%2e%2e/secret.txt",
        "js",
        "",
        "js%5Capp.js",
        "/etc/passwd",
        "a%00",
    ],
)
def test_no_path_leads_out_of_the_folder(system, folder, name):
    system.services.dashboard = folder
    assert system.client.get(f"/static/{name}").status == 404


def test_files_are_read_once(folder):
    assets = Assets(folder)
    (folder / "late.js").write_text("1")
    assert assets.answer("late.js", {}) is None


def test_swagger_ui_5_is_served_by_us(system):
    version = (swagger_folder() / "VERSION").read_text().strip().lstrip("v")
    assert version.split(".")[0] == "5"
    page = system.client.get("/docs")
    assert page.status == 200
    assert b"http" not in page.body
    for name in SWAGGER.files:
        assert system.client.get(f"/docs/{name}").status == 200
    assert system.client.get("/docs/other.js").status == 404
