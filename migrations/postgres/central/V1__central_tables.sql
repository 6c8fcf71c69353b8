-- The 22 tables of the central schema, as the central product lists them.

CREATE TYPE alert_severity AS ENUM ('info', 'warning', 'critical');
CREATE TYPE alert_status AS ENUM ('active', 'acknowledged', 'resolved', 'escalated');
CREATE TYPE alert_type AS ENUM ('alarm_active', 'monitoring_interrupted', 'missed_manual_entry', 'low_battery', 'sensor_fault', 'door_open', 'calibration_due');
CREATE TYPE app_role AS ENUM ('owner', 'admin', 'manager', 'staff', 'viewer');
CREATE TYPE compliance_mode AS ENUM ('standard', 'haccp');
CREATE TYPE device_status AS ENUM ('active', 'inactive', 'pairing', 'error');
CREATE TYPE notification_channel AS ENUM ('push', 'email', 'sms');
CREATE TYPE notification_status AS ENUM ('pending', 'sent', 'delivered', 'failed');
CREATE TYPE pairing_status AS ENUM ('pending', 'completed', 'failed', 'expired');
CREATE TYPE subscription_plan AS ENUM ('starter', 'pro', 'haccp', 'enterprise');
CREATE TYPE subscription_status AS ENUM ('trial', 'active', 'past_due', 'canceled', 'paused');
CREATE TYPE unit_status AS ENUM ('ok', 'excursion', 'alarm_active', 'monitoring_interrupted', 'manual_required', 'restoring', 'offline');
CREATE TYPE unit_type AS ENUM ('fridge', 'freezer', 'display_case', 'walk_in_cooler', 'walk_in_freezer', 'blast_chiller');

CREATE TABLE organizations (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name character varying(256) NOT NULL,
    slug character varying(256) NOT NULL,
    timezone character varying(100) NOT NULL DEFAULT 'UTC'::character varying,
    compliance_mode compliance_mode NOT NULL DEFAULT 'standard'::compliance_mode,
    sensor_limit integer NOT NULL DEFAULT 10,
    logo_url text,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT organizations_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX organizations_slug_idx ON organizations (slug);

CREATE TABLE sites (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    name character varying(256) NOT NULL,
    address text,
    city character varying(128),
    state character varying(64),
    postal_code character varying(20),
    country character varying(64),
    timezone character varying(100) NOT NULL DEFAULT 'UTC'::character varying,
    latitude character varying(32),
    longitude character varying(32),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT sites_pkey PRIMARY KEY (id),
    CONSTRAINT sites_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX sites_active_idx ON sites (organization_id, is_active);
CREATE INDEX sites_org_idx ON sites (organization_id);

CREATE TABLE areas (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    site_id uuid NOT NULL,
    name character varying(256) NOT NULL,
    description text,
    sort_order integer NOT NULL DEFAULT 0,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT areas_pkey PRIMARY KEY (id),
    CONSTRAINT areas_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE
);
CREATE INDEX areas_site_idx ON areas (site_id);
CREATE INDEX areas_sort_idx ON areas (site_id, sort_order);

CREATE TABLE units (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    area_id uuid NOT NULL,
    name character varying(256) NOT NULL,
    unit_type unit_type NOT NULL,
    status unit_status NOT NULL DEFAULT 'ok'::unit_status,
    temp_min integer NOT NULL,
    temp_max integer NOT NULL,
    temp_unit character varying(1) NOT NULL DEFAULT 'F'::character varying,
    manual_monitoring_required boolean NOT NULL DEFAULT false,
    manual_monitoring_interval integer,
    last_reading_at timestamp(3) with time zone,
    last_temperature integer,
    is_active boolean NOT NULL DEFAULT true,
    sort_order integer NOT NULL DEFAULT 0,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT units_pkey PRIMARY KEY (id),
    CONSTRAINT units_area_id_areas_id_fk FOREIGN KEY (area_id) REFERENCES areas (id) ON DELETE CASCADE
);
CREATE INDEX units_active_idx ON units (area_id, is_active);
CREATE INDEX units_area_idx ON units (area_id);
CREATE INDEX units_status_idx ON units (status);
CREATE INDEX units_type_idx ON units (unit_type);

CREATE TABLE alert_rules (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    site_id uuid,
    unit_id uuid,
    name character varying(256) NOT NULL,
    temp_min integer,
    temp_max integer,
    delay_minutes integer NOT NULL DEFAULT 5,
    alert_type alert_type NOT NULL DEFAULT 'alarm_active'::alert_type,
    severity alert_severity NOT NULL DEFAULT 'warning'::alert_severity,
    is_enabled boolean NOT NULL DEFAULT true,
    schedule text,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT alert_rules_pkey PRIMARY KEY (id),
    CONSTRAINT alert_rules_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT alert_rules_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE,
    CONSTRAINT alert_rules_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX alert_rules_enabled_idx ON alert_rules (organization_id, is_enabled);
CREATE INDEX alert_rules_org_idx ON alert_rules (organization_id);
CREATE INDEX alert_rules_site_idx ON alert_rules (site_id);
CREATE INDEX alert_rules_unit_idx ON alert_rules (unit_id);

CREATE TABLE profiles (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email character varying(256) NOT NULL,
    full_name character varying(256),
    avatar_url text,
    phone character varying(50),
    phone_verified boolean NOT NULL DEFAULT false,
    push_enabled boolean NOT NULL DEFAULT true,
    email_enabled boolean NOT NULL DEFAULT true,
    sms_enabled boolean NOT NULL DEFAULT false,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT profiles_pkey PRIMARY KEY (id),
    CONSTRAINT profiles_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX profiles_user_id_idx ON profiles (user_id);
CREATE INDEX profiles_email_idx ON profiles (email);
CREATE INDEX profiles_org_idx ON profiles (organization_id);

CREATE TABLE alert_rules_history (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alert_rule_id uuid NOT NULL,
    changed_by uuid,
    change_type character varying(32) NOT NULL,
    old_values text,
    new_values text,
    changed_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT alert_rules_history_pkey PRIMARY KEY (id),
    CONSTRAINT alert_rules_history_alert_rule_id_alert_rules_id_fk FOREIGN KEY (alert_rule_id) REFERENCES alert_rules (id) ON DELETE CASCADE,
    CONSTRAINT alert_rules_history_changed_by_profiles_id_fk FOREIGN KEY (changed_by) REFERENCES profiles (id) ON DELETE SET NULL
);
CREATE INDEX alert_rules_history_date_idx ON alert_rules_history (changed_at);
CREATE INDEX alert_rules_history_rule_idx ON alert_rules_history (alert_rule_id);

CREATE TABLE alerts (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    unit_id uuid NOT NULL,
    alert_rule_id uuid,
    alert_type alert_type NOT NULL,
    severity alert_severity NOT NULL,
    status alert_status NOT NULL DEFAULT 'active'::alert_status,
    message text,
    trigger_temperature integer,
    threshold_violated character varying(16),
    triggered_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    acknowledged_at timestamp(3) with time zone,
    acknowledged_by uuid,
    resolved_at timestamp(3) with time zone,
    resolved_by uuid,
    escalated_at timestamp(3) with time zone,
    escalation_level integer NOT NULL DEFAULT 0,
    metadata text,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT alerts_pkey PRIMARY KEY (id),
    CONSTRAINT alerts_acknowledged_by_profiles_id_fk FOREIGN KEY (acknowledged_by) REFERENCES profiles (id) ON DELETE SET NULL,
    CONSTRAINT alerts_alert_rule_id_alert_rules_id_fk FOREIGN KEY (alert_rule_id) REFERENCES alert_rules (id) ON DELETE SET NULL,
    CONSTRAINT alerts_resolved_by_profiles_id_fk FOREIGN KEY (resolved_by) REFERENCES profiles (id) ON DELETE SET NULL,
    CONSTRAINT alerts_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX alerts_status_idx ON alerts (status);
CREATE INDEX alerts_triggered_idx ON alerts (triggered_at);
CREATE INDEX alerts_type_idx ON alerts (alert_type);
CREATE INDEX alerts_unit_idx ON alerts (unit_id);
CREATE INDEX alerts_unit_status_idx ON alerts (unit_id, status);

CREATE TABLE hubs (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    site_id uuid NOT NULL,
    name character varying(256) NOT NULL,
    mac_address character varying(17),
    firmware_version character varying(32),
    last_seen_at timestamp(3) with time zone,
    is_online boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT hubs_pkey PRIMARY KEY (id),
    CONSTRAINT hubs_site_id_sites_id_fk FOREIGN KEY (site_id) REFERENCES sites (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX hubs_mac_idx ON hubs (mac_address);
CREATE INDEX hubs_site_idx ON hubs (site_id);

CREATE TABLE devices (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    unit_id uuid,
    hub_id uuid,
    device_eui character varying(32) NOT NULL,
    name character varying(256),
    device_type character varying(64),
    status device_status NOT NULL DEFAULT 'inactive'::device_status,
    battery integer,
    signal_strength integer,
    firmware_version character varying(32),
    last_seen_at timestamp(3) with time zone,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT devices_pkey PRIMARY KEY (id),
    CONSTRAINT devices_hub_id_hubs_id_fk FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE SET NULL,
    CONSTRAINT devices_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX devices_eui_idx ON devices (device_eui);
CREATE INDEX devices_hub_idx ON devices (hub_id);
CREATE INDEX devices_status_idx ON devices (status);
CREATE INDEX devices_unit_idx ON devices (unit_id);

CREATE TABLE calibration_records (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    device_id uuid NOT NULL,
    calibrated_at timestamp(3) with time zone NOT NULL,
    calibrated_by uuid,
    temperature_offset integer,
    humidity_offset integer,
    reference_temperature integer,
    certificate_url text,
    notes text,
    expires_at timestamp(3) with time zone,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT calibration_records_pkey PRIMARY KEY (id),
    CONSTRAINT calibration_records_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE
);
CREATE INDEX calibration_records_date_idx ON calibration_records (device_id, calibrated_at);
CREATE INDEX calibration_records_device_idx ON calibration_records (device_id);
CREATE INDEX calibration_records_expires_idx ON calibration_records (expires_at);

CREATE TABLE corrective_actions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alert_id uuid NOT NULL,
    unit_id uuid NOT NULL,
    profile_id uuid,
    description text NOT NULL,
    action_taken text,
    photo_url text,
    resolved_alert boolean NOT NULL DEFAULT false,
    action_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT corrective_actions_pkey PRIMARY KEY (id),
    CONSTRAINT corrective_actions_alert_id_alerts_id_fk FOREIGN KEY (alert_id) REFERENCES alerts (id) ON DELETE CASCADE,
    CONSTRAINT corrective_actions_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL,
    CONSTRAINT corrective_actions_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX corrective_actions_alert_idx ON corrective_actions (alert_id);
CREATE INDEX corrective_actions_date_idx ON corrective_actions (action_at);
CREATE INDEX corrective_actions_profile_idx ON corrective_actions (profile_id);
CREATE INDEX corrective_actions_unit_idx ON corrective_actions (unit_id);

CREATE TABLE door_events (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    unit_id uuid NOT NULL,
    device_id uuid,
    state character varying(16) NOT NULL,
    "timestamp" timestamp(3) with time zone NOT NULL,
    duration_seconds integer,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT door_events_pkey PRIMARY KEY (id),
    CONSTRAINT door_events_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE SET NULL,
    CONSTRAINT door_events_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX door_events_device_idx ON door_events (device_id);
CREATE INDEX door_events_timestamp_idx ON door_events ("timestamp");
CREATE INDEX door_events_unit_time_idx ON door_events (unit_id, "timestamp");

CREATE TABLE escalation_contacts (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    profile_id uuid,
    name character varying(256) NOT NULL,
    phone character varying(50) NOT NULL,
    email character varying(256),
    priority integer NOT NULL DEFAULT 0,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT escalation_contacts_pkey PRIMARY KEY (id),
    CONSTRAINT escalation_contacts_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT escalation_contacts_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE CASCADE
);
CREATE INDEX escalation_contacts_org_idx ON escalation_contacts (organization_id);
CREATE INDEX escalation_contacts_priority_idx ON escalation_contacts (organization_id, priority);
CREATE INDEX escalation_contacts_profile_idx ON escalation_contacts (profile_id);

CREATE TABLE event_logs (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    actor_id uuid,
    actor_type character varying(32) NOT NULL,
    event_type character varying(64) NOT NULL,
    event_category character varying(64),
    entity_type character varying(64) NOT NULL,
    entity_id uuid,
    description text,
    payload text,
    old_values text,
    new_values text,
    ip_address character varying(45),
    user_agent text,
    previous_hash character varying(64),
    hash character varying(64) NOT NULL,
    occurred_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT event_logs_pkey PRIMARY KEY (id),
    CONSTRAINT event_logs_actor_id_profiles_id_fk FOREIGN KEY (actor_id) REFERENCES profiles (id) ON DELETE SET NULL,
    CONSTRAINT event_logs_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX event_logs_actor_idx ON event_logs (actor_id);
CREATE INDEX event_logs_entity_idx ON event_logs (entity_type, entity_id);
CREATE INDEX event_logs_hash_idx ON event_logs (hash);
CREATE INDEX event_logs_occurred_idx ON event_logs (occurred_at);
CREATE INDEX event_logs_org_date_idx ON event_logs (organization_id, occurred_at);
CREATE INDEX event_logs_org_idx ON event_logs (organization_id);
CREATE INDEX event_logs_type_idx ON event_logs (event_type);

CREATE TABLE lora_sensors (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    device_id uuid NOT NULL,
    app_eui character varying(32) NOT NULL,
    dev_eui character varying(32) NOT NULL,
    app_key character varying(64),
    join_eui character varying(32),
    network_server_id character varying(128),
    activation_type character varying(16) DEFAULT 'OTAA'::character varying,
    last_join_at timestamp(3) with time zone,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT lora_sensors_pkey PRIMARY KEY (id),
    CONSTRAINT lora_sensors_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX lora_sensors_dev_eui_idx ON lora_sensors (dev_eui);
CREATE UNIQUE INDEX lora_sensors_device_idx ON lora_sensors (device_id);
CREATE INDEX lora_sensors_app_eui_idx ON lora_sensors (app_eui);

CREATE TABLE manual_temperature_logs (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    unit_id uuid NOT NULL,
    profile_id uuid,
    temperature numeric(7,2) NOT NULL,
    humidity numeric(5,2),
    notes text,
    photo_url text,
    recorded_at timestamp(3) with time zone NOT NULL,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT manual_temperature_logs_pkey PRIMARY KEY (id),
    CONSTRAINT manual_temperature_logs_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL,
    CONSTRAINT manual_temperature_logs_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX manual_logs_profile_idx ON manual_temperature_logs (profile_id);
CREATE INDEX manual_logs_recorded_idx ON manual_temperature_logs (recorded_at);
CREATE INDEX manual_logs_unit_time_idx ON manual_temperature_logs (unit_id, recorded_at);

CREATE TABLE notification_deliveries (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alert_id uuid NOT NULL,
    profile_id uuid,
    channel notification_channel NOT NULL,
    recipient character varying(256) NOT NULL,
    status notification_status NOT NULL DEFAULT 'pending'::notification_status,
    external_id character varying(256),
    error_message text,
    scheduled_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    sent_at timestamp(3) with time zone,
    delivered_at timestamp(3) with time zone,
    failed_at timestamp(3) with time zone,
    retry_count character varying(10) DEFAULT '0'::character varying,
    last_retry_at timestamp(3) with time zone,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT notification_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT notification_deliveries_alert_id_alerts_id_fk FOREIGN KEY (alert_id) REFERENCES alerts (id) ON DELETE CASCADE,
    CONSTRAINT notification_deliveries_profile_id_profiles_id_fk FOREIGN KEY (profile_id) REFERENCES profiles (id) ON DELETE SET NULL
);
CREATE INDEX notification_deliveries_alert_idx ON notification_deliveries (alert_id);
CREATE INDEX notification_deliveries_channel_idx ON notification_deliveries (channel);
CREATE INDEX notification_deliveries_pending_idx ON notification_deliveries (status, scheduled_at);
CREATE INDEX notification_deliveries_profile_idx ON notification_deliveries (profile_id);
CREATE INDEX notification_deliveries_scheduled_idx ON notification_deliveries (scheduled_at);
CREATE INDEX notification_deliveries_status_idx ON notification_deliveries (status);

CREATE TABLE pairing_sessions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    device_id uuid,
    status pairing_status NOT NULL DEFAULT 'pending'::pairing_status,
    pairing_code character varying(16),
    started_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    completed_at timestamp(3) with time zone,
    expires_at timestamp(3) with time zone NOT NULL,
    metadata text,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT pairing_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT pairing_sessions_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE CASCADE
);
CREATE INDEX pairing_sessions_code_idx ON pairing_sessions (pairing_code);
CREATE INDEX pairing_sessions_device_idx ON pairing_sessions (device_id);
CREATE INDEX pairing_sessions_status_idx ON pairing_sessions (status);

CREATE TABLE sensor_readings (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    unit_id uuid NOT NULL,
    device_id uuid,
    temperature numeric(7,2) NOT NULL,
    humidity numeric(5,2),
    battery integer,
    signal_strength integer,
    raw_payload text,
    recorded_at timestamp(3) with time zone NOT NULL,
    received_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    source character varying(32),
    CONSTRAINT sensor_readings_pkey PRIMARY KEY (id),
    CONSTRAINT sensor_readings_device_id_devices_id_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE SET NULL,
    CONSTRAINT sensor_readings_unit_id_units_id_fk FOREIGN KEY (unit_id) REFERENCES units (id) ON DELETE CASCADE
);
CREATE INDEX sensor_readings_device_idx ON sensor_readings (device_id);
CREATE INDEX sensor_readings_recorded_idx ON sensor_readings (recorded_at);
CREATE INDEX sensor_readings_unit_time_idx ON sensor_readings (unit_id, recorded_at);

CREATE TABLE subscriptions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    plan subscription_plan NOT NULL DEFAULT 'starter'::subscription_plan,
    status subscription_status NOT NULL DEFAULT 'trial'::subscription_status,
    stripe_customer_id character varying(256),
    stripe_subscription_id character varying(256),
    current_period_start timestamp(3) with time zone,
    current_period_end timestamp(3) with time zone,
    trial_ends_at timestamp(3) with time zone,
    canceled_at timestamp(3) with time zone,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT subscriptions_pkey PRIMARY KEY (id),
    CONSTRAINT subscriptions_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX subscriptions_org_idx ON subscriptions (organization_id);
CREATE INDEX subscriptions_stripe_customer_idx ON subscriptions (stripe_customer_id);

CREATE TABLE user_roles (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    role app_role NOT NULL DEFAULT 'viewer'::app_role,
    created_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    updated_at timestamp(3) with time zone NOT NULL DEFAULT now(),
    CONSTRAINT user_roles_pkey PRIMARY KEY (id),
    CONSTRAINT user_roles_organization_id_organizations_id_fk FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX user_roles_user_org_idx ON user_roles (user_id, organization_id);
CREATE INDEX user_roles_org_idx ON user_roles (organization_id);
