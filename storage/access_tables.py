"""The tables of the action log and of sessions that were ended early; migrations.py creates them."""

from peewee import BigAutoField, DoubleField, SmallIntegerField, TextField

from storage.models import Table


class ActionRow(Table):
    """One action of a person or a program through the API (storage/actions.py)."""

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
    """A session that was ended by hand; the id `*` means all that began before `at`. Kept until `expires`."""

    id = TextField(primary_key=True)
    at = DoubleField()
    expires = DoubleField()


def create() -> None:
    """Create both tables if they do not exist."""
    ActionRow.create_table()
    EndedSessionRow.create_table()
