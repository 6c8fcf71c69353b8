-- The mirror of the central schema: uuid is BLOB(16), timestamptz(3) INTEGER milliseconds UTC, numeric(n,2) INTEGER
-- hundredths, boolean INTEGER 0/1, enum and varchar TEXT with a CHECK. `sensor_readings` is a view, made with the log.

CREATE TABLE organizations (
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    slug TEXT NOT NULL CHECK (length(slug) <= 256),
    timezone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(timezone) <= 100),
    compliance_mode TEXT NOT NULL DEFAULT 'standard' CHECK (compliance_mode IN ('standard', 'haccp')),
    sensor_limit INTEGER NOT NULL DEFAULT 10,
    logo_url TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX organizations_slug_idx ON organizations (slug);

CREATE TABLE sites (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    address TEXT,
    city TEXT CHECK (length(city) <= 128),
    state TEXT CHECK (length(state) <= 64),
    postal_code TEXT CHECK (length(postal_code) <= 20),
    country TEXT CHECK (length(country) <= 64),
    timezone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(timezone) <= 100),
    latitude TEXT CHECK (length(latitude) <= 32),
    longitude TEXT CHECK (length(longitude) <= 32),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT sites_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX sites_active_idx ON sites (organization_id, is_active);
CREATE INDEX sites_org_idx ON sites (organization_id);

CREATE TABLE areas (
    id BLOB NOT NULL CHECK (length(id) = 16),
    site_id BLOB NOT NULL CHECK (length(site_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    description TEXT,
    sort_order INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT areas_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX areas_site_idx ON areas (site_id);
CREATE INDEX areas_sort_idx ON areas (site_id, sort_order);

CREATE TABLE units (
    id BLOB NOT NULL CHECK (length(id) = 16),
    area_id BLOB NOT NULL CHECK (length(area_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    unit_type TEXT NOT NULL CHECK (unit_type IN ('fridge', 'freezer', 'display_case', 'walk_in_cooler', 'walk_in_freezer', 'blast_chiller')),
    status TEXT NOT NULL DEFAULT 'ok' CHECK (status IN ('ok', 'excursion', 'alarm_active', 'monitoring_interrupted', 'manual_required', 'restoring', 'offline')),
    temp_min INTEGER NOT NULL,
    temp_max INTEGER NOT NULL,
    temp_unit TEXT NOT NULL DEFAULT 'F' CHECK (length(temp_unit) <= 1),
    manual_monitoring_required INTEGER NOT NULL DEFAULT 0 CHECK (manual_monitoring_required IN (0, 1)),
    manual_monitoring_interval INTEGER,
    last_reading_at INTEGER,
    last_temperature INTEGER,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    sort_order INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT units_area_id_areas_id_fk FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX units_active_idx ON units (area_id, is_active);
CREATE INDEX units_area_idx ON units (area_id);
CREATE INDEX units_status_idx ON units (status);
CREATE INDEX units_type_idx ON units (unit_type);

CREATE TABLE alert_rules (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    site_id BLOB CHECK (length(site_id) = 16),
    unit_id BLOB CHECK (length(unit_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    temp_min INTEGER,
    temp_max INTEGER,
    delay_minutes INTEGER NOT NULL DEFAULT 5,
    alert_type TEXT NOT NULL DEFAULT 'alarm_active' CHECK (alert_type IN ('alarm_active', 'monitoring_interrupted', 'missed_manual_entry', 'low_battery', 'sensor_fault', 'door_open', 'calibration_due')),
    severity TEXT NOT NULL DEFAULT 'warning' CHECK (severity IN ('info', 'warning', 'critical')),
    is_enabled INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
    schedule TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT alert_rules_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT alert_rules_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT alert_rules_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_rules_enabled_idx ON alert_rules (organization_id, is_enabled);
CREATE INDEX alert_rules_org_idx ON alert_rules (organization_id);
CREATE INDEX alert_rules_site_idx ON alert_rules (site_id);
CREATE INDEX alert_rules_unit_idx ON alert_rules (unit_id);

CREATE TABLE profiles (
    id BLOB NOT NULL CHECK (length(id) = 16),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    email TEXT NOT NULL CHECK (length(email) <= 256),
    full_name TEXT CHECK (length(full_name) <= 256),
    avatar_url TEXT,
    phone TEXT CHECK (length(phone) <= 50),
    phone_verified INTEGER NOT NULL DEFAULT 0 CHECK (phone_verified IN (0, 1)),
    push_enabled INTEGER NOT NULL DEFAULT 1 CHECK (push_enabled IN (0, 1)),
    email_enabled INTEGER NOT NULL DEFAULT 1 CHECK (email_enabled IN (0, 1)),
    sms_enabled INTEGER NOT NULL DEFAULT 0 CHECK (sms_enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT profiles_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX profiles_user_id_idx ON profiles (user_id);
CREATE INDEX profiles_email_idx ON profiles (email);
CREATE INDEX profiles_org_idx ON profiles (organization_id);

CREATE TABLE alert_rules_history (
    id BLOB NOT NULL CHECK (length(id) = 16),
    alert_rule_id BLOB NOT NULL CHECK (length(alert_rule_id) = 16),
    changed_by BLOB CHECK (length(changed_by) = 16),
    change_type TEXT NOT NULL CHECK (length(change_type) <= 32),
    old_values TEXT,
    new_values TEXT,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT alert_rules_history_alert_rule_id_alert_rules_id_fk FOREIGN KEY (alert_rule_id) REFERENCES alert_rules (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT alert_rules_history_changed_by_profiles_id_fk FOREIGN KEY (changed_by) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_rules_history_date_idx ON alert_rules_history (changed_at);
CREATE INDEX alert_rules_history_rule_idx ON alert_rules_history (alert_rule_id);

CREATE TABLE alerts (
    id BLOB NOT NULL CHECK (length(id) = 16),
    unit_id BLOB NOT NULL CHECK (length(unit_id) = 16),
    alert_rule_id BLOB CHECK (length(alert_rule_id) = 16),
    alert_type TEXT NOT NULL CHECK (alert_type IN ('alarm_active', 'monitoring_interrupted', 'missed_manual_entry', 'low_battery', 'sensor_fault', 'door_open', 'calibration_due')),
    severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'acknowledged', 'resolved', 'escalated')),
    message TEXT,
    trigger_temperature INTEGER,
    threshold_violated TEXT CHECK (length(threshold_violated) <= 16),
    triggered_at INTEGER NOT NULL,
    acknowledged_at INTEGER,
    acknowledged_by BLOB CHECK (length(acknowledged_by) = 16),
    resolved_at INTEGER,
    resolved_by BLOB CHECK (length(resolved_by) = 16),
    escalated_at INTEGER,
    escalation_level INTEGER NOT NULL DEFAULT 0,
    metadata TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT alerts_acknowledged_by_profiles_id_fk FOREIGN KEY (acknowledged_by) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT alerts_alert_rule_id_alert_rules_id_fk FOREIGN KEY (alert_rule_id) REFERENCES alert_rules (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT alerts_resolved_by_profiles_id_fk FOREIGN KEY (resolved_by) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT alerts_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_status_idx ON alerts (status);
CREATE INDEX alerts_triggered_idx ON alerts (triggered_at);
CREATE INDEX alerts_type_idx ON alerts (alert_type);
CREATE INDEX alerts_unit_idx ON alerts (unit_id);
CREATE INDEX alerts_unit_status_idx ON alerts (unit_id, status);

CREATE TABLE hubs (
    id BLOB NOT NULL CHECK (length(id) = 16),
    site_id BLOB NOT NULL CHECK (length(site_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    mac_address TEXT CHECK (length(mac_address) <= 17),
    firmware_version TEXT CHECK (length(firmware_version) <= 32),
    last_seen_at INTEGER,
    is_online INTEGER NOT NULL DEFAULT 0 CHECK (is_online IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT hubs_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hubs_mac_idx ON hubs (mac_address);
CREATE INDEX hubs_site_idx ON hubs (site_id);

CREATE TABLE devices (
    id BLOB NOT NULL CHECK (length(id) = 16),
    unit_id BLOB CHECK (length(unit_id) = 16),
    hub_id BLOB CHECK (length(hub_id) = 16),
    device_eui TEXT NOT NULL CHECK (length(device_eui) <= 32),
    name TEXT CHECK (length(name) <= 256),
    device_type TEXT CHECK (length(device_type) <= 64),
    status TEXT NOT NULL DEFAULT 'inactive' CHECK (status IN ('active', 'inactive', 'pairing', 'error')),
    battery INTEGER,
    signal_strength INTEGER,
    firmware_version TEXT CHECK (length(firmware_version) <= 32),
    last_seen_at INTEGER,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT devices_hub_id_hubs_id_fk FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT devices_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE SET NULL ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX devices_eui_idx ON devices (device_eui);
CREATE INDEX devices_hub_idx ON devices (hub_id);
CREATE INDEX devices_status_idx ON devices (status);
CREATE INDEX devices_unit_idx ON devices (unit_id);

CREATE TABLE calibration_records (
    id BLOB NOT NULL CHECK (length(id) = 16),
    device_id BLOB NOT NULL CHECK (length(device_id) = 16),
    calibrated_at INTEGER NOT NULL,
    calibrated_by BLOB CHECK (length(calibrated_by) = 16),
    temperature_offset INTEGER,
    humidity_offset INTEGER,
    reference_temperature INTEGER,
    certificate_url TEXT,
    notes TEXT,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT calibration_records_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX calibration_records_date_idx ON calibration_records (device_id, calibrated_at);
CREATE INDEX calibration_records_device_idx ON calibration_records (device_id);
CREATE INDEX calibration_records_expires_idx ON calibration_records (expires_at);

CREATE TABLE corrective_actions (
    id BLOB NOT NULL CHECK (length(id) = 16),
    alert_id BLOB NOT NULL CHECK (length(alert_id) = 16),
    unit_id BLOB NOT NULL CHECK (length(unit_id) = 16),
    profile_id BLOB CHECK (length(profile_id) = 16),
    description TEXT NOT NULL,
    action_taken TEXT,
    photo_url TEXT,
    resolved_alert INTEGER NOT NULL DEFAULT 0 CHECK (resolved_alert IN (0, 1)),
    action_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT corrective_actions_alert_id_alerts_id_fk FOREIGN KEY (alert_id) REFERENCES alerts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT corrective_actions_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT corrective_actions_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX corrective_actions_alert_idx ON corrective_actions (alert_id);
CREATE INDEX corrective_actions_date_idx ON corrective_actions (action_at);
CREATE INDEX corrective_actions_profile_idx ON corrective_actions (profile_id);
CREATE INDEX corrective_actions_unit_idx ON corrective_actions (unit_id);

CREATE TABLE door_events (
    id BLOB NOT NULL CHECK (length(id) = 16),
    unit_id BLOB NOT NULL CHECK (length(unit_id) = 16),
    device_id BLOB CHECK (length(device_id) = 16),
    state TEXT NOT NULL CHECK (length(state) <= 16),
    "timestamp" INTEGER NOT NULL,
    duration_seconds INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT door_events_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT door_events_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX door_events_device_idx ON door_events (device_id);
CREATE INDEX door_events_timestamp_idx ON door_events ("timestamp");
CREATE INDEX door_events_unit_time_idx ON door_events (unit_id, "timestamp");

CREATE TABLE escalation_contacts (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    profile_id BLOB CHECK (length(profile_id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 256),
    phone TEXT NOT NULL CHECK (length(phone) <= 50),
    email TEXT CHECK (length(email) <= 256),
    priority INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT escalation_contacts_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT escalation_contacts_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX escalation_contacts_org_idx ON escalation_contacts (organization_id);
CREATE INDEX escalation_contacts_priority_idx ON escalation_contacts (organization_id, priority);
CREATE INDEX escalation_contacts_profile_idx ON escalation_contacts (profile_id);

CREATE TABLE event_logs (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    actor_id BLOB CHECK (length(actor_id) = 16),
    actor_type TEXT NOT NULL CHECK (length(actor_type) <= 32),
    event_type TEXT NOT NULL CHECK (length(event_type) <= 64),
    event_category TEXT CHECK (length(event_category) <= 64),
    entity_type TEXT NOT NULL CHECK (length(entity_type) <= 64),
    entity_id BLOB CHECK (length(entity_id) = 16),
    description TEXT,
    payload TEXT,
    old_values TEXT,
    new_values TEXT,
    ip_address TEXT CHECK (length(ip_address) <= 45),
    user_agent TEXT,
    previous_hash TEXT CHECK (length(previous_hash) <= 64),
    hash TEXT NOT NULL CHECK (length(hash) <= 64),
    occurred_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT event_logs_actor_id_profiles_id_fk FOREIGN KEY (actor_id) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT event_logs_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX event_logs_actor_idx ON event_logs (actor_id);
CREATE INDEX event_logs_entity_idx ON event_logs (entity_type, entity_id);
CREATE INDEX event_logs_hash_idx ON event_logs (hash);
CREATE INDEX event_logs_occurred_idx ON event_logs (occurred_at);
CREATE INDEX event_logs_org_date_idx ON event_logs (organization_id, occurred_at);
CREATE INDEX event_logs_org_idx ON event_logs (organization_id);
CREATE INDEX event_logs_type_idx ON event_logs (event_type);

CREATE TABLE lora_sensors (
    id BLOB NOT NULL CHECK (length(id) = 16),
    device_id BLOB NOT NULL CHECK (length(device_id) = 16),
    app_eui TEXT NOT NULL CHECK (length(app_eui) <= 32),
    dev_eui TEXT NOT NULL CHECK (length(dev_eui) <= 32),
    app_key TEXT CHECK (length(app_key) <= 64),
    join_eui TEXT CHECK (length(join_eui) <= 32),
    network_server_id TEXT CHECK (length(network_server_id) <= 128),
    activation_type TEXT DEFAULT 'OTAA' CHECK (length(activation_type) <= 16),
    last_join_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT lora_sensors_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX lora_sensors_dev_eui_idx ON lora_sensors (dev_eui);
CREATE UNIQUE INDEX lora_sensors_device_idx ON lora_sensors (device_id);
CREATE INDEX lora_sensors_app_eui_idx ON lora_sensors (app_eui);

CREATE TABLE manual_temperature_logs (
    id BLOB NOT NULL CHECK (length(id) = 16),
    unit_id BLOB NOT NULL CHECK (length(unit_id) = 16),
    profile_id BLOB CHECK (length(profile_id) = 16),
    temperature INTEGER NOT NULL,
    humidity INTEGER,
    notes TEXT,
    photo_url TEXT,
    recorded_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT manual_temperature_logs_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT manual_temperature_logs_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manual_logs_profile_idx ON manual_temperature_logs (profile_id);
CREATE INDEX manual_logs_recorded_idx ON manual_temperature_logs (recorded_at);
CREATE INDEX manual_logs_unit_time_idx ON manual_temperature_logs (unit_id, recorded_at);

CREATE TABLE notification_deliveries (
    id BLOB NOT NULL CHECK (length(id) = 16),
    alert_id BLOB NOT NULL CHECK (length(alert_id) = 16),
    profile_id BLOB CHECK (length(profile_id) = 16),
    channel TEXT NOT NULL CHECK (channel IN ('push', 'email', 'sms')),
    recipient TEXT NOT NULL CHECK (length(recipient) <= 256),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'delivered', 'failed')),
    external_id TEXT CHECK (length(external_id) <= 256),
    error_message TEXT,
    scheduled_at INTEGER NOT NULL,
    sent_at INTEGER,
    delivered_at INTEGER,
    failed_at INTEGER,
    retry_count TEXT DEFAULT '0' CHECK (length(retry_count) <= 10),
    last_retry_at INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT notification_deliveries_alert_id_alerts_id_fk FOREIGN KEY (alert_id) REFERENCES alerts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT notification_deliveries_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_deliveries_alert_idx ON notification_deliveries (alert_id);
CREATE INDEX notification_deliveries_channel_idx ON notification_deliveries (channel);
CREATE INDEX notification_deliveries_pending_idx ON notification_deliveries (status, scheduled_at);
CREATE INDEX notification_deliveries_profile_idx ON notification_deliveries (profile_id);
CREATE INDEX notification_deliveries_scheduled_idx ON notification_deliveries (scheduled_at);
CREATE INDEX notification_deliveries_status_idx ON notification_deliveries (status);

CREATE TABLE pairing_sessions (
    id BLOB NOT NULL CHECK (length(id) = 16),
    device_id BLOB CHECK (length(device_id) = 16),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed', 'expired')),
    pairing_code TEXT CHECK (length(pairing_code) <= 16),
    started_at INTEGER NOT NULL,
    completed_at INTEGER,
    expires_at INTEGER NOT NULL,
    metadata TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT pairing_sessions_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX pairing_sessions_code_idx ON pairing_sessions (pairing_code);
CREATE INDEX pairing_sessions_device_idx ON pairing_sessions (device_id);
CREATE INDEX pairing_sessions_status_idx ON pairing_sessions (status);

CREATE TABLE subscriptions (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    plan TEXT NOT NULL DEFAULT 'starter' CHECK (plan IN ('starter', 'pro', 'haccp', 'enterprise')),
    status TEXT NOT NULL DEFAULT 'trial' CHECK (status IN ('trial', 'active', 'past_due', 'canceled', 'paused')),
    stripe_customer_id TEXT CHECK (length(stripe_customer_id) <= 256),
    stripe_subscription_id TEXT CHECK (length(stripe_subscription_id) <= 256),
    current_period_start INTEGER,
    current_period_end INTEGER,
    trial_ends_at INTEGER,
    canceled_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT subscriptions_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_org_idx ON subscriptions (organization_id);
CREATE INDEX subscriptions_stripe_customer_idx ON subscriptions (stripe_customer_id);

CREATE TABLE user_roles (
    id BLOB NOT NULL CHECK (length(id) = 16),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    role TEXT NOT NULL DEFAULT 'viewer' CHECK (role IN ('owner', 'admin', 'manager', 'staff', 'viewer')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT user_roles_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX user_roles_user_org_idx ON user_roles (user_id, organization_id);
CREATE INDEX user_roles_org_idx ON user_roles (organization_id);
