"""The real stores that other tests use respond."""


def test_valkey_answers(redis_client):
    assert redis_client.ping()


def test_the_database_url_names_an_empty_database(database_url):
    assert database_url.startswith(("sqlite:///", "postgresql://"))
