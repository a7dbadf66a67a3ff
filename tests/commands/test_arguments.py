"""What stands on the command line: flags in either place, values that make no sense."""

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
