-- Where each partition of the visitors is, once events go through a log; empty as long as they do not.
CREATE TABLE shards (
    name TEXT COLLATE "C" PRIMARY KEY,
    address TEXT NOT NULL
);

CREATE TABLE partitions (
    partition BIGINT PRIMARY KEY,
    shard TEXT COLLATE "C" NOT NULL REFERENCES shards
);

-- Who applies: each takes its share of the partitions.
CREATE TABLE workers (
    name TEXT COLLATE "C" PRIMARY KEY,
    until TIMESTAMPTZ NOT NULL
);

-- Each node's spool: since when something in it waits to be applied, and when the node last looked.
CREATE TABLE spools (
    writer TEXT COLLATE "C" PRIMARY KEY,
    pending_ms BIGINT,
    seen_ms BIGINT NOT NULL
);

-- How far the sums of a partition have been collected: all events that came before this time are in them.
CREATE TABLE watermarks (
    partition BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    applied BIGINT NOT NULL
);

CREATE TABLE collected_waiting (
    partition BIGINT NOT NULL,
    experiment TEXT COLLATE "C" NOT NULL,
    waiting BIGINT NOT NULL,
    orphans BIGINT NOT NULL,
    PRIMARY KEY (partition, experiment)
);

-- In a shard: who may apply to a partition. Whoever takes it raises the epoch, so that the one before is refused.
CREATE TABLE fences (
    partition BIGINT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    is_open BOOLEAN NOT NULL DEFAULT TRUE,
    holder TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    applied BIGINT NOT NULL DEFAULT 0,
    log TEXT NOT NULL DEFAULT '',
    log_sequence BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- In a shard: up to which number each spool has been applied, without a gap.
CREATE TABLE positions (
    partition BIGINT NOT NULL,
    writer TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (partition, writer)
) WITH (fillfactor = 50);

-- The partition of a visitor by the stand-in, as nodes compute it: its last eight bytes as a whole number, without a sign.
CREATE FUNCTION partition_of(visitor BYTEA, partitions BIGINT) RETURNS BIGINT LANGUAGE SQL IMMUTABLE AS $$
    SELECT (('x' || encode(substring(visitor FROM 9 FOR 8), 'hex'))::bit(64)::bigint::numeric
        + CASE WHEN get_byte(visitor, 8) > 127 THEN 18446744073709551616 ELSE 0 END)::numeric % partitions
$$;
