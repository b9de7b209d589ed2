-- What was answered to requests that carried an idempotency key, so that a repeated one is answered the same.
CREATE TABLE replies (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    body BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
);

CREATE INDEX replies_at ON replies (at_ms);
