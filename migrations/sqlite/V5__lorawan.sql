-- The hub's own LoRaWAN network server: what joins, who may bring it, and keys that came with a shipment.

-- One device of the network server. The columns with JSON hold keys: the file has mode 0600, and nothing prints them.
-- `epoch_no`: the epoch whose writer sent the last numbers; under another one JoinNonce and FCntDown go ahead first.
CREATE TABLE hub_lora_devices (
    dev_eui TEXT NOT NULL PRIMARY KEY CHECK (length(dev_eui) = 16),
    version TEXT NOT NULL,
    activation TEXT NOT NULL,
    join_state TEXT NOT NULL,
    session TEXT,
    pending TEXT,
    epoch_no INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Gateways whose frames are taken. `is_configured`: the configuration names it, and takes it away again.
CREATE TABLE hub_gateways (
    eui TEXT NOT NULL PRIMARY KEY CHECK (length(eui) = 16),
    name TEXT,
    is_configured INTEGER NOT NULL CHECK (is_configured IN (0, 1)),
    last_contact_ms INTEGER,
    frames INTEGER NOT NULL DEFAULT 0,
    answers INTEGER NOT NULL DEFAULT 0,
    refused_answers INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Keys of a shipment, for the day its devices are paired.
CREATE TABLE hub_lora_keys (
    dev_eui TEXT NOT NULL PRIMARY KEY CHECK (length(dev_eui) = 16),
    join_eui TEXT CHECK (length(join_eui) = 16),
    app_key TEXT NOT NULL CHECK (length(app_key) = 32),
    version TEXT NOT NULL,
    name TEXT,
    model TEXT,
    imported_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
