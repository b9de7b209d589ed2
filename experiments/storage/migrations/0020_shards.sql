-- How far the sums of shards have been collected. An embedded database has none, and reports ask for them all the same.
CREATE TABLE watermarks (
    partition INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    applied INTEGER NOT NULL
);

CREATE TABLE collected_waiting (
    partition INTEGER NOT NULL,
    experiment TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    orphans INTEGER NOT NULL,
    PRIMARY KEY (partition, experiment)
) WITHOUT ROWID;
