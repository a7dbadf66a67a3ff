"""Command-line arguments: flags in either position, and invalid values."""

import pytest

import run


@pytest.mark.parametrize(
    "words",
    [
        ["dead-letters", "groups"],
        ["dead-letters", "show", "3"],
        ["dead-letters", "replay-all"],
        ["rules", "list"],
        ["rules", "test", "rule.json"],
        ["secret", "new"],
        ["secret", "rotate"],
    ],
)
def test_json_may_stand_before_and_after_the_action(words):
    for given in ([*words, "--json"], [words[0], "--json", *words[1:]], [*words, "--json", "--json"]):
        assert run._parser(given).parse_args(given).json, given
    assert not run._parser(words).parse_args(words).json


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("dead-letters list --limit 0", "argument --limit: must be a whole number from 1 to 100, not '0'"),
        ("dead-letters show x", "argument ID: must be a whole number of 1 or more, not 'x'"),
        ("dead-letters replay-all --per-second -3", "argument --per-second: must be a whole number from 1 to 10000, not '-3'"),
        ("rules delete 99999999999999999999", "argument ID: must be a whole number of 1 or more, not '99999999999999999999'"),
        ("tail --since x", "argument --since: 'x' is not the seq of an event, as `tail --json` shows it, nor `beginning`"),
        ("tail -n 0", "argument -n/--count: must be a whole number of 1 or more, not '0'"),
        ("search a --limit \u00b2", "argument --limit: must be a whole number of 1 or more, not '\u00b2'"),
        ("export --limit -1", "argument --limit: must be a whole number of 1 or more, not '-1'"),
        ("simulator --port 99999", "argument --port: must be a whole number from 0 to 65535, not '99999'"),
        ("drill --minutes nan", "argument --minutes: must be a number from 0 to 100000, not 'nan'"),
        ("drill --pace 0", "argument --pace: must be a number from 0.1 to 100000, not '0'"),
        ("drill --emails -1", "argument --emails: must be a whole number of 0 or more, not '-1'"),
        ("drill --seed 1.5", "argument --seed: must be a whole number of 0 or more, not '1.5'"),
        ("drill --redis x", "argument --redis: must begin with redis:// or rediss:// or unix://"),
        ("drill --database x", "argument --database: must begin with sqlite:/// or postgresql://"),
        ("migrate-store --to nonsense", "--to must begin with postgresql://, not 'nonsense'"),
        ("train", "--from-feedback is required"),
        ("export --content --format csv", "--content needs --format ndjson"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_a_line_and_exit_code_2(words, says, capsys):
    try:
        code = run.main(words.split())
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_what_the_server_finds_senseless_is_exit_code_2_too(small_server, capsys, monkeypatch):
    monkeypatch.setenv("BASE_URL", small_server.url)
    small_server.answers["GET", "/dead-letters"] = (400, {"detail": "since: must be a date"})
    assert run.main(["dead-letters", "list", "--since", "x"]) == 2
    assert capsys.readouterr().err == "run.py: GET /dead-letters: 400 since: must be a date\n"
