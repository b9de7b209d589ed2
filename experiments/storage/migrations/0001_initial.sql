CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('config_version', '1');

CREATE TABLE keys (
    prefix TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    origins TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE experiments (
    key TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    stopped_ms INTEGER
) WITHOUT ROWID;

-- Append-only: one row for each decision about weights; body is canonical JSON, hash covers it and the row before.
CREATE TABLE ledger (
    experiment TEXT NOT NULL,
    number INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (experiment, number)
);

CREATE UNIQUE INDEX ledger_epoch ON ledger (experiment, epoch) WHERE kind = 'published';

-- A job's slot is done by whoever inserts its row.
CREATE TABLE slots (
    job TEXT NOT NULL,
    experiment TEXT NOT NULL,
    slot INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (job, experiment, slot)
) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    visitor BLOB NOT NULL,
    id BLOB NOT NULL,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    experiments TEXT NOT NULL,
    name TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    identified INTEGER NOT NULL,
    amounts TEXT,
    arm TEXT,
    segment TEXT,
    epoch INTEGER,
    weight INTEGER,
    asserted INTEGER,
    UNIQUE (visitor, id)
);

CREATE TABLE exposures (
    experiment TEXT NOT NULL,
    visitor BLOB NOT NULL,
    arm TEXT NOT NULL,
    segment TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    asserted INTEGER NOT NULL,
    PRIMARY KEY (experiment, visitor)
) WITHOUT ROWID;

CREATE TABLE totals (
    experiment TEXT NOT NULL,
    visitor BLOB NOT NULL,
    metric TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (experiment, visitor, metric)
) WITHOUT ROWID;

-- Outcomes whose visitor is not known to be exposed yet.
CREATE TABLE waiting (
    experiment TEXT NOT NULL,
    visitor BLOB NOT NULL,
    event INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (experiment, visitor, event)
) WITHOUT ROWID;

CREATE TABLE cells (
    experiment TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    day INTEGER NOT NULL,
    segment TEXT NOT NULL,
    arm TEXT NOT NULL,
    asserted INTEGER NOT NULL,
    metric TEXT NOT NULL,
    n INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    sum2 REAL NOT NULL,
    removed_n INTEGER NOT NULL DEFAULT 0,
    removed_sum INTEGER NOT NULL DEFAULT 0,
    removed_sum2 REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment, epoch, day, segment, arm, asserted, metric)
) WITHOUT ROWID;

-- How long after the exposure a metric was first met, in 256ths of its window, by the day of exposure: of the young
-- days only quick ones are known.
CREATE TABLE lags (
    experiment TEXT NOT NULL,
    metric TEXT NOT NULL,
    segment TEXT NOT NULL,
    day INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (experiment, metric, segment, day, bucket)
) WITHOUT ROWID;

CREATE TABLE counters (
    experiment TEXT NOT NULL,
    name TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (experiment, name)
) WITHOUT ROWID;
