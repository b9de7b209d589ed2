-- What sources and sinks of outcomes and news have to do: when next, how often it has failed since it last went well and why,
-- and how far a source has been read.
CREATE TABLE errands (
    name TEXT PRIMARY KEY,
    due_ms BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    fault TEXT NOT NULL,
    reached TEXT NOT NULL
);

-- Up to which row of each chain a sink has been handed the news.
CREATE TABLE handed (
    sink TEXT NOT NULL,
    chain TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (sink, chain)
);
