"""The tables of who did what, and of sessions that ended before their time; created by migrations.py."""

from peewee import BigAutoField, DoubleField, SmallIntegerField, TextField

from storage.models import Table


class ActionRow(Table):
    """Something that a person or a program did through the API (storage/actions.py)."""

    id = BigAutoField()
    at = DoubleField()
    who = TextField()
    role = TextField()
    address = TextField()
    action = TextField()
    target = TextField()
    detail = TextField()  # JSON
    status = SmallIntegerField()
    request_id = TextField()


class EndedSessionRow(Table):
    """A session that was ended by hand; `*` stands for all that began before `at`. Kept until they would have expired."""

    id = TextField(primary_key=True)
    at = DoubleField()
    expires = DoubleField()


def create() -> None:
    """Both tables, where they are not there yet."""
    ActionRow.create_table()
    EndedSessionRow.create_table()
