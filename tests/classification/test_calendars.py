"""The readable text of an invitation, extracted from its calendar part."""

import pytest

from classification.calendars import calendar_text


def test_the_event_is_read_and_the_time_zone_is_not():
    method, text = calendar_text(
        "METHOD:CANCEL\r\nBEGIN:VTIMEZONE\r\nDTSTART:16010101T000000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n"
        "DTSTART;TZID=Europe/Paris:20240506T093000\r\nSUMMARY:Long \r\n title\r\nEND:VEVENT\r\n"
    )
    assert method == "CANCEL"
    assert text == "Summary: Long title\nStart: Monday, 06 May 2024 09:30"


@pytest.mark.parametrize("source", ["", "BEGIN:VEVENT", "SUMMARY", "DTSTART:never", "\0" * 1000, "METHOD:" * 10_000])
def test_broken_calendars_are_no_error(source):
    calendar_text(source)
