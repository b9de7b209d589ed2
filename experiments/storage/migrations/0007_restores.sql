-- The newest epoch of each experiment whenever a backup was brought back: those that came after it are lost.
CREATE TABLE restores (
    experiment TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (experiment, epoch)
) WITHOUT ROWID;
