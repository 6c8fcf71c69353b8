-- What only the hub knows. Times the hub makes are (segment, mono_ms): a boot segment and CLOCK_BOOTTIME milliseconds;
-- hub_boots places a segment in wall time. Devices and units have small numbers, so that mapping one changes one row.

CREATE TABLE hub_meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The identity of the writer: a random 128-bit id, new at every restore, import or detected rewind.
CREATE TABLE hub_epochs (
    no INTEGER PRIMARY KEY,
    epoch BLOB NOT NULL UNIQUE CHECK (length(epoch) = 16),
    reason TEXT NOT NULL,
    former_epoch BLOB CHECK (length(former_epoch) = 16),
    former_head TEXT,
    -- Never less than any number used; exact after a clean stop, else found from the tables.
    next_seq INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE hub_boots (
    segment INTEGER PRIMARY KEY,
    boot_id BLOB NOT NULL CHECK (length(boot_id) = 16),
    reason TEXT NOT NULL,
    -- The first number of the counter that belongs to it: rows in between need not name it.
    first_epoch_no INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    first_mono_ms INTEGER NOT NULL,
    last_mono_ms INTEGER NOT NULL,
    -- The largest wall time known to be past when the segment began: its lower bound.
    floor_ms INTEGER NOT NULL,
    -- wall = mono_ms + offset_ms; NULL until the segment is placed, frozen after.
    offset_ms INTEGER,
    quality TEXT NOT NULL CHECK (quality IN ('untrusted', 'estimated', 'rtc', 'ntp', 'receiver')),
    uncertainty_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE hub_units (
    no INTEGER PRIMARY KEY,
    unit_id BLOB NOT NULL UNIQUE REFERENCES units (id) ON UPDATE CASCADE,
    removed_ms INTEGER
) STRICT;

CREATE TABLE hub_devices (
    no INTEGER PRIMARY KEY,
    device_id BLOB NOT NULL UNIQUE REFERENCES devices (id) ON UPDATE CASCADE,
    -- "vendor/model" as `devices models` spells it; empty where the frame itself carries values.
    model TEXT NOT NULL,
    source TEXT NOT NULL,
    port TEXT NOT NULL,
    address TEXT NOT NULL,
    is_authenticated INTEGER NOT NULL CHECK (is_authenticated IN (0, 1)),
    check_in_s INTEGER,
    UNIQUE (source, port, address)
) STRICT;

-- Which unit a probe measures. Open while closed_segment is NULL; at most one open per probe.
CREATE TABLE hub_assignments (
    no INTEGER PRIMARY KEY,
    device_no INTEGER NOT NULL REFERENCES hub_devices (no),
    probe INTEGER NOT NULL,
    unit_no INTEGER NOT NULL REFERENCES hub_units (no),
    opened_segment INTEGER NOT NULL,
    opened_mono_ms INTEGER NOT NULL,
    closed_segment INTEGER,
    closed_mono_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX hub_assignments_open_idx ON hub_assignments (device_no, probe) WHERE closed_segment IS NULL;

-- The readings log: the one place a normal frame writes. temperature and humidity in hundredths; tag packs
-- scale (bit 0: 1 = F), late (bit 1), source (bits 2-5), probe (bits 6-). A rowid table: appending fills its pages, where
-- those of one without rowid split in halves. An epoch's numbers go on where the former epoch's ended.
CREATE TABLE hub_log (
    seq INTEGER NOT NULL PRIMARY KEY,
    epoch_no INTEGER NOT NULL,
    unit_no INTEGER NOT NULL,
    device_no INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    temperature INTEGER NOT NULL,
    humidity INTEGER,
    battery INTEGER,
    rssi INTEGER,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    -- The reading's own time (network server, GNSS, inside the frame); NULL: the hub's, at reception.
    own_ms INTEGER
) STRICT;

-- Settled hours (Unix ms / 3,600,000): the readings of a unit in one, packed (src/store/packed.rs; fg_unpack gives them as
-- JSON). The segment a row was received in is the last one that began at or before its seq.
CREATE TABLE hub_history (
    hour INTEGER NOT NULL,
    unit_no INTEGER NOT NULL,
    epoch_no INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (hour, unit_no, epoch_no)
) STRICT, WITHOUT ROWID;

-- One row for each of history, small enough to be searched: finds the rows of an interval of seq, and the oldest.
CREATE TABLE hub_hours (
    hour INTEGER NOT NULL,
    unit_no INTEGER NOT NULL,
    epoch_no INTEGER NOT NULL,
    seq_lo INTEGER NOT NULL,
    seq_hi INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (hour, unit_no, epoch_no)
) STRICT, WITHOUT ROWID;
-- An interval of seq touches the hours with seq_hi >= its low end and seq_lo <= its high end: the newer ones are fewer.
CREATE INDEX hub_hours_seq_idx ON hub_hours (epoch_no, seq_hi, seq_lo);

-- Raw frames, bounded by age and bytes, never uploaded. dedup: first 8 bytes of a hash over the frame's identity.
CREATE TABLE hub_frames (
    no INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    port TEXT NOT NULL,
    address TEXT NOT NULL,
    device_no INTEGER,
    f_port INTEGER,
    counter INTEGER,
    rssi INTEGER,
    dedup INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('reading', 'event', 'fault', 'stranger', 'unassigned', 'undecodable', 'duplicate', 'refused')),
    detail TEXT,
    -- Bytes of all frames up to this one, so that what is kept is one subtraction.
    bytes_through INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX hub_frames_unused_idx ON hub_frames (outcome, address) WHERE outcome IN ('stranger', 'unassigned', 'undecodable');

-- Every input of the rules besides readings, in commit order; seq is drawn from the log's counter.
CREATE TABLE hub_inputs (
    epoch_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (epoch_no, seq)
) STRICT, WITHOUT ROWID;

-- State of the rules after (epoch_no, seq): where a restart begins to replay.
CREATE TABLE hub_checkpoints (
    epoch_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    -- Unix day as known then: one a day is kept.
    day INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (epoch_no, seq)
) STRICT, WITHOUT ROWID;

-- What the central columns of an alert cannot hold; the partial index keeps one open alert per unit, type and device.
CREATE TABLE hub_alerts (
    alert_id BLOB NOT NULL PRIMARY KEY REFERENCES alerts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    unit_no INTEGER NOT NULL REFERENCES hub_units (no),
    alert_type TEXT NOT NULL,
    device_no INTEGER NOT NULL DEFAULT 0,
    is_open INTEGER NOT NULL CHECK (is_open IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hub_alerts_open_idx ON hub_alerts (unit_no, alert_type, device_no) WHERE is_open = 1;

-- The audit chain: canonical bytes of each event_logs row the hub wrote. seq is gapless per epoch, from 1.
CREATE TABLE hub_audit (
    epoch_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id BLOB NOT NULL UNIQUE REFERENCES event_logs (id) ON DELETE CASCADE,
    canonical BLOB NOT NULL,
    PRIMARY KEY (epoch_no, seq)
) STRICT, WITHOUT ROWID;

-- Columns whose wall time is provisional until their segment is placed; such rows are not uploaded.
CREATE TABLE hub_unplaced (
    table_name TEXT NOT NULL,
    row_id BLOB NOT NULL,
    column_name TEXT NOT NULL,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    PRIMARY KEY (table_name, row_id, column_name)
) STRICT, WITHOUT ROWID;

-- Rows of lane 0 that changed since they were last cut into a batch.
CREATE TABLE hub_dirty (
    table_name TEXT NOT NULL,
    row_id BLOB NOT NULL CHECK (length(row_id) = 16),
    PRIMARY KEY (table_name, row_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE hub_lanes (
    lane INTEGER NOT NULL PRIMARY KEY CHECK (lane IN (0, 1)),
    next_seq INTEGER NOT NULL,
    acked_seq INTEGER NOT NULL
) STRICT;

-- A batch cut and not yet acknowledged: the very bytes every retry sends. row_epoch_no, seq_lo, seq_hi: the interval of
-- the log a lane-1 batch covers.
CREATE TABLE hub_batches (
    lane INTEGER NOT NULL CHECK (lane IN (0, 1)),
    seq INTEGER NOT NULL,
    epoch_no INTEGER NOT NULL,
    row_epoch_no INTEGER,
    seq_lo INTEGER,
    seq_hi INTEGER,
    rows INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    body BLOB NOT NULL,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;

-- Acknowledged intervals of the log, merged; everything else in log and history is unsent.
CREATE TABLE hub_sent (
    epoch_no INTEGER NOT NULL,
    seq_lo INTEGER NOT NULL,
    seq_hi INTEGER NOT NULL,
    PRIMARY KEY (epoch_no, seq_lo)
) STRICT, WITHOUT ROWID;

CREATE TABLE hub_refused (
    no INTEGER PRIMARY KEY,
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    UNIQUE (table_name, row_key)
) STRICT;

-- The enrolment: one row once it happened. The token and the private key are in the credentials file, never here.
CREATE TABLE hub_link (
    no INTEGER PRIMARY KEY CHECK (no = 1),
    hub_id BLOB NOT NULL CHECK (length(hub_id) = 16),
    site_id BLOB NOT NULL CHECK (length(site_id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    receiver_url TEXT NOT NULL,
    receiver_key BLOB NOT NULL CHECK (length(receiver_key) = 32),
    credential_digest BLOB NOT NULL CHECK (length(credential_digest) = 32),
    history_from_ms INTEGER NOT NULL,
    down_cursor TEXT NOT NULL DEFAULT ''
) STRICT;

-- Configuration snapshots from central: 'current', 'previous', or 'refused' with the reason.
CREATE TABLE hub_snapshots (
    no INTEGER PRIMARY KEY,
    etag TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('current', 'previous', 'refused')),
    reason TEXT,
    segment INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- The 23rd name of the mirror: log and history in the central shape, in the unit's present scale. The functions are
-- the hub's own, registered on each of its connections; the hub itself does not select through this view.
CREATE VIEW sensor_readings AS
SELECT
    fg_reading_id(e.epoch, r.seq, r.recorded_at) AS id,
    u.unit_id AS unit_id,
    d.device_id AS device_id,
    fg_convert(r.temperature, r.tag & 1, units.temp_unit) AS temperature,
    r.humidity AS humidity,
    r.battery AS battery,
    r.rssi AS signal_strength,
    NULL AS raw_payload,
    r.recorded_at AS recorded_at,
    r.received_at AS received_at,
    fg_source((r.tag >> 2) & 15) AS source
FROM (
    SELECT
        epoch_no, seq, unit_no, device_no, tag, temperature, humidity, battery, rssi,
        coalesce(own_ms, mono_ms + coalesce(b.offset_ms, b.floor_ms - b.first_mono_ms)) AS recorded_at,
        mono_ms + coalesce(b.offset_ms, b.floor_ms - b.first_mono_ms) AS received_at
    FROM hub_log JOIN hub_boots AS b USING (segment)
    UNION ALL
    SELECT
        h.epoch_no, j.value ->> 2, h.unit_no, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6,
        j.value ->> 7, j.value ->> 8, j.value ->> 0, (j.value ->> 0) + (j.value ->> 1)
    FROM hub_history AS h, json_each(fg_unpack(h.hour, h.body)) AS j
) AS r
JOIN hub_epochs AS e ON e.no = r.epoch_no
JOIN hub_units AS u ON u.no = r.unit_no
JOIN units ON units.id = u.unit_id
LEFT JOIN hub_devices AS d ON d.no = r.device_no;
