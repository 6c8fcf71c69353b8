-- Power cuts, seen by a supply that is watched or, for want of one, by a start after no stop. Open until the report is written.

CREATE TABLE hub_outages (
    no INTEGER PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('mains', 'unclean')),
    lost_segment INTEGER NOT NULL,
    lost_mono_ms INTEGER NOT NULL,
    -- Readings from this number of the counter on came after the loss.
    epoch_no INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    -- NULL while the mains are away.
    back_segment INTEGER,
    back_mono_ms INTEGER,
    -- What became of each unit, as JSON; NULL until it is written.
    report TEXT
) STRICT;
