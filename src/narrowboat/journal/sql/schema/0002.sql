-- Version 2: what a peak cost, and whether it was the first try of its input.

ALTER TABLE peaks ADD COLUMN seconds REAL NOT NULL DEFAULT 0;    -- that the attempt took
ALTER TABLE peaks ADD COLUMN again   INTEGER NOT NULL DEFAULT 0; -- an attempt of the same input was killed before
