"""Bursts: what is sent at once arrives, however much it is and however slowly the server reads."""

from experiments.storage.postgres import connect
from tests.postgres import Databases


def test_a_server_that_is_slow_to_read_gets_all_of_a_large_burst(postgres: Databases) -> None:
    connection = connect(postgres.fresh())
    try:
        connection.begin(alone=False)
        connection.execute("CREATE TEMP TABLE lines (line TEXT)")
        # While it sleeps it reads nothing, and more is sent than what lies between.
        connection.execute("SELECT pg_sleep(.5)")
        connection.execute("INSERT INTO lines SELECT unnest(CAST(? AS text[]))", (["x" * 100_000] * 100,))
        assert connection.execute("SELECT count(*), sum(length(line)) FROM lines").fetchone() == (100, 10_000_000)
        connection.rollback()
    finally:
        connection.close()
