-- Forms as they were typed, whether or not they make a document; the one of no experiment is of a new one.
CREATE TABLE drafts (
    email TEXT NOT NULL,
    experiment TEXT NOT NULL,
    body TEXT NOT NULL,
    saved_ms INTEGER NOT NULL,
    PRIMARY KEY (email, experiment)
) WITHOUT ROWID;
