"""Sessions of processes that were stopped amid a burst, ended by whoever they hold up."""

from experiments.storage.connection import Connection

#: A process that was stopped amid a burst is waited for no longer than one that was stopped between two.
STOPPED_SECONDS = 10


def end_stopped(connection: Connection) -> None:
    """End the sessions of processes that were stopped amid a burst: the server takes them for ones that work.

    They are those that wait for their client, and have not said that they do.
    """
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename = current_user AND application_name = current_setting('application_name') AND state = 'active'"
        " AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => ?)",
        (STOPPED_SECONDS,),
    )
