-- How often the slot was reached stands with the first time that it was: a row less for every visitor.
ALTER TABLE exposures ADD COLUMN n INTEGER NOT NULL DEFAULT 1;

UPDATE exposures SET n = (
    SELECT total FROM totals
    WHERE totals.experiment = exposures.experiment AND totals.visitor = exposures.visitor AND metric = '$exposures'
);

DELETE FROM totals WHERE metric = '$exposures';
