-- Where each chain ends, written with its newest row: a chain of hashes alone would not miss its last rows.
CREATE TABLE heads (
    chain TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO heads
    SELECT 'ledger of ' || experiment, number, hash FROM ledger
    WHERE number = (SELECT max(number) FROM ledger AS newer WHERE newer.experiment = ledger.experiment);

INSERT INTO heads SELECT 'audit log', number, hash FROM audit ORDER BY number DESC LIMIT 1;
