-- What is stored of a visitor's attributes, coarsened as declared; with the exposure that it is of.
ALTER TABLE events ADD COLUMN context TEXT;

ALTER TABLE exposures ADD COLUMN context TEXT;
