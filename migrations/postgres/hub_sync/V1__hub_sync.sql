-- The receiver's own schema. Keys lead with the hub (or organization) so that a distributed PostgreSQL can place rows together.
CREATE SCHEMA IF NOT EXISTS hub_sync;

CREATE TABLE hub_sync.organizations (
    organization_id uuid PRIMARY KEY,
    threshold_scale text NOT NULL CHECK (threshold_scale IN ('tenths', 'whole'))
);

-- One row per hub that was added; token and key are set when it enrols.
CREATE TABLE hub_sync.hubs (
    hub_id uuid PRIMARY KEY,
    site_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    history_from timestamp(3) with time zone NOT NULL,
    public_key bytea,
    token_sha256 bytea,
    enrolled_at timestamp(3) with time zone,
    revoked_at timestamp(3) with time zone,
    last_seen_at timestamp(3) with time zone,
    -- The content a person confirmed: a later removal needs a confirmation of its own.
    confirm_removal_etag text,
    -- The last snapshot the hub did not take, and why.
    refused_etag text,
    refused_reason text,
    refused_at timestamp(3) with time zone
);
CREATE UNIQUE INDEX hubs_token_idx ON hub_sync.hubs (token_sha256);

CREATE TABLE hub_sync.enrolment_codes (
    code_sha256 bytea PRIMARY KEY,
    hub_id uuid NOT NULL,
    expires_at timestamp(3) with time zone NOT NULL,
    used_at timestamp(3) with time zone
);

CREATE TABLE hub_sync.enrolment_tries (
    address text NOT NULL,
    minute bigint NOT NULL,
    tries integer NOT NULL,
    PRIMARY KEY (address, minute)
);

-- An epoch belongs to the first hub that presents it.
CREATE TABLE hub_sync.epochs (
    epoch bytea PRIMARY KEY,
    hub_id uuid NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL
);
CREATE INDEX epochs_hub_idx ON hub_sync.epochs (hub_id);

-- The ledger: written in the transaction that writes the rows.
CREATE TABLE hub_sync.lane (
    hub_id uuid NOT NULL,
    epoch bytea NOT NULL,
    lane smallint NOT NULL,
    applied_through bigint NOT NULL,
    digest bytea NOT NULL,
    applied_at timestamp(3) with time zone NOT NULL,
    -- What the answer said, so that a repeat says it again.
    answer text NOT NULL,
    PRIMARY KEY (hub_id, epoch, lane)
);

-- Rows of tables without an owner chain belong to the hub that inserted them.
CREATE TABLE hub_sync.row_owner (
    hub_id uuid NOT NULL,
    table_name text NOT NULL,
    row_id uuid NOT NULL,
    PRIMARY KEY (table_name, row_id)
);
CREATE INDEX row_owner_hub_idx ON hub_sync.row_owner (hub_id);

-- What the hub last said of its alerts that it has not resolved: where central's row says more, that goes down.
CREATE TABLE hub_sync.open_alerts (
    hub_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    acknowledged_at timestamp(3) with time zone,
    PRIMARY KEY (hub_id, alert_id)
);

-- Refused rows, batches out of order, and (kind range, beyond the bound, without a body) what was not kept.
CREATE TABLE hub_sync.dead_letters (
    hub_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('row', 'batch', 'range')),
    epoch bytea NOT NULL,
    lane smallint NOT NULL,
    batch_seq bigint NOT NULL,
    batch_seq_to bigint NOT NULL,
    row_count bigint NOT NULL,
    table_name text,
    row_key text,
    reason text NOT NULL,
    body bytea,
    arrived_at timestamp(3) with time zone NOT NULL,
    PRIMARY KEY (hub_id, id)
);

CREATE TABLE hub_sync.security_events (
    hub_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    happened_at timestamp(3) with time zone NOT NULL,
    PRIMARY KEY (hub_id, id)
);

-- The receiver's Ed25519 key, made once; every copy of the receiver signs with it.
CREATE TABLE hub_sync.receiver_keys (
    id uuid PRIMARY KEY,
    pkcs8 bytea NOT NULL,
    public_key bytea NOT NULL,
    created_at timestamp(3) with time zone NOT NULL
);
