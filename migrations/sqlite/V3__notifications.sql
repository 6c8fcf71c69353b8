-- Calls to people as they are worked off: one row for each call (or all-clear, or notice) and recipient. Rows of central
-- channels (SMS, e-mail) about an alert stand in notification_deliveries too, under the same id.
CREATE TABLE hub_deliveries (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    alert_id BLOB REFERENCES alerts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    unit_no INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('call', 'all_clear', 'notice')),
    channel TEXT NOT NULL,
    -- E.164 number, e-mail address, or the configured name of a channel without recipients.
    recipient TEXT NOT NULL,
    severity TEXT NOT NULL,
    level INTEGER NOT NULL,
    -- Why people are called: first, escalated, repeated, reminder.
    cause TEXT NOT NULL,
    -- The outage of a source that one message tells of for all its units.
    outage TEXT,
    -- A notice's own words; what is said of an alert is made from its row when it is sent.
    subject TEXT,
    body TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'delivered', 'failed')),
    tries INTEGER NOT NULL DEFAULT 0,
    external_id TEXT,
    error TEXT,
    due_segment INTEGER NOT NULL,
    due_mono_ms INTEGER NOT NULL,
    done_segment INTEGER,
    done_mono_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX hub_deliveries_pending_idx ON hub_deliveries (status) WHERE status = 'pending';
CREATE INDEX hub_deliveries_alert_idx ON hub_deliveries (alert_id);
CREATE INDEX hub_deliveries_external_idx ON hub_deliveries (channel, external_id) WHERE status = 'sent';
