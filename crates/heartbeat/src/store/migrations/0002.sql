-- Rollups: what results come to, for each check and minute, hour and day. Lists of numbers, packed by store/sqlite/packed.rs.

-- Minutes that are not over for long: one of 64 checks to a row. By number of the half day since 1970 * 2^32
-- + (subject / 64) * 2^10 + minute of that half day.
CREATE TABLE tiles (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;

-- Then one check to a row: half a day of minutes, a day of hours, a day. By number of the span since 1970 * 2^32 + subject, so
-- that they lie in the order of time and the oldest are one range.
CREATE TABLE minutes (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
CREATE TABLE hours (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
CREATE TABLE days (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
