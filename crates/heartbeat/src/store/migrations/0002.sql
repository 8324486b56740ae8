-- Rollups: what results come to, for each check and minute, hour and day. Columns of numbers, packed by store/sqlite/cells.rs.

-- Minutes of days that are not over yet: a minute of 64 checks, by day * 2^32 + (subject / 64) * 2^11 + minute of the day.
CREATE TABLE tiles (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;

-- One check's cells of a span of time: six hours of minutes, a day of hours, a day. By number of the span since 1970 * 2^32 +
-- subject, so that they lie in the order of time and the oldest are one range.
CREATE TABLE minutes (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
CREATE TABLE hours (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
CREATE TABLE days (key INTEGER PRIMARY KEY, cells BLOB NOT NULL) STRICT;
