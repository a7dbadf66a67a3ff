"""initialize_fakemail.py's work where it cannot be done: one line that names what to set, and whether the asking was wrong."""

import pytest

from commands.client import CommandError, UsageError
from commands.initializing import initialize

AWAY = "http://127.0.0.1:1"


def test_an_account_that_does_not_answer_is_not_looked_for_by_base_url():
    with pytest.raises(CommandError, match=f"no answer from {AWAY} .* --fakemail or FAKEMAIL_API_URL says where"):
        initialize(AWAY, None, None, test=False)


@pytest.mark.parametrize("options", [{"webhook_url": "nonsense"}, {"source": "nobody"}])
def test_what_makes_no_sense_is_wrong_usage(options):
    with pytest.raises(UsageError):
        initialize(AWAY, **{"webhook_url": None, "source": None, **options}, test=False)
