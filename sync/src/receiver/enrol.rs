//! Enrolment: a one-time code becomes a token; all of it in one transaction.

use axum::http::StatusCode;
use deadpool_postgres::Client;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::auth::Hub;
use super::codes::{self, from_hex, to_hex};
use super::db::Ms;
use super::image::{is_eui, is_mac};
use super::problem::{Failure, Reject};
use super::{App, snapshot};
use crate::api::{EnrolAnswer, EnrolRequest, EnrolUnit, ProblemKind};
use crate::scale::Scale;

/// 10,000 EUIs and 1,000 units fit.
pub const BODY_BYTES_MAX: usize = 512 << 10;
/// A hub hears at most a few hundred sensors.
const EUIS_MAX: usize = 10_000;
const UNITS_MAX: usize = 1_000;
/// Wrong codes of one address in a minute.
const TRIES_MAX: i32 = 5;
/// Minutes for which tries are remembered.
const TRIES_KEPT_MIN: i64 = 60;
/// The types of the central enum `unit_type`.
const UNIT_TYPES: [&str; 6] =
    ["fridge", "freezer", "display_case", "walk_in_cooler", "walk_in_freezer", "blast_chiller"];
/// The area that is made for the first units of a site without one.
const AREA_NAME: &str = "Kitchen";

pub(super) async fn enrol(
    app: &App,
    client: &mut Client,
    address: &str,
    request: &EnrolRequest,
) -> Result<EnrolAnswer, Failure> {
    let now_ms = app.now_ms();
    let public_key = check(request)?;
    // Counted before the code is looked at, so that tries at the same time count, too; a right one is taken back.
    count_try(client, address, now_ms).await?;
    let bad_code = || {
        let detail = "the code is wrong, was used, or is older than 24 h; ask for a new one";
        Failure::reject(StatusCode::FORBIDDEN, ProblemKind::BadCode, detail)
    };
    let digest = codes::hash_code(&request.code).ok_or_else(bad_code)?;
    let deref: &mut tokio_postgres::Client = client;
    let tx = deref.transaction().await?;
    let row = tx
        .query_typed_opt(
            "SELECT c.hub_id, h.site_id, h.organization_id, h.history_from, h.token_sha256 IS NOT NULL \
             FROM hub_sync.enrolment_codes c JOIN hub_sync.hubs h ON h.hub_id = c.hub_id \
             WHERE c.code_sha256 = $1 AND c.used_at IS NULL AND c.expires_at > $2 AND h.revoked_at IS NULL \
             FOR UPDATE OF c, h",
            &[(&digest.as_slice(), Type::BYTEA), (&Ms(now_ms), Type::TIMESTAMPTZ)],
        )
        .await?
        .ok_or_else(bad_code)?;
    let hub = Hub { id: row.get(0), site: row.get(1), organization: row.get(2), last_seen_ms: None };
    let history_from_ms = row.get::<_, Ms>(3).0;
    if row.get(4) && !request.replace {
        return Err(conflict(
            "this hub is enrolled already: --replace ends the earlier enrolment",
            Vec::new(),
        ));
    }
    place_units(app, &tx, &hub, request, now_ms).await?;
    write_hub(&tx, &hub, request, now_ms).await?;
    let (token, token_digest) =
        codes::make_token(&app.random).map_err(|error| Failure::Internal(error.into()))?;
    tx.execute_typed(
        "UPDATE hub_sync.hubs SET public_key = $2, token_sha256 = $3, enrolled_at = $4 WHERE hub_id = $1",
        &[
            (&hub.id, Type::UUID),
            (&public_key, Type::BYTEA),
            (&token_digest.as_slice(), Type::BYTEA),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    tx.execute_typed(
        "UPDATE hub_sync.enrolment_codes SET used_at = $2 WHERE code_sha256 = $1",
        &[(&digest.as_slice(), Type::BYTEA), (&Ms(now_ms), Type::TIMESTAMPTZ)],
    )
    .await?;
    let devices = match_devices(&tx, &hub, &request.device_euis).await?;
    let snapshot = snapshot::read(&tx, &hub).await?;
    tx.execute_typed(
        "UPDATE hub_sync.enrolment_tries SET tries = tries - 1 WHERE address = $1 AND minute = $2",
        &[(&address, Type::TEXT), (&minute(now_ms), Type::INT8)],
    )
    .await?;
    tx.commit().await?;
    tracing::info!(
        hub.id = %hub.id, readings = request.reading_count, replaced = row.get::<_, bool>(4),
        "hub {} enrolled with {} readings", hub.id, request.reading_count
    );
    Ok(EnrolAnswer {
        hub_id: hub.id,
        site_id: hub.site,
        organization_id: hub.organization,
        receiver_key: to_hex(&app.key.public()),
        token,
        history_from_ms,
        snapshot,
        devices,
    })
}

/// What can be said without the database; gives the public key.
fn check(request: &EnrolRequest) -> Result<Vec<u8>, Failure> {
    let key = from_hex(&request.public_key).filter(|key| key.len() == 32);
    let key = key.ok_or_else(|| Failure::bad_request("public_key: 64 hex digits are wanted"))?;
    if request.mac_address.as_deref().is_some_and(|mac| !is_mac(mac)) {
        return Err(Failure::bad_request("mac_address: upper case with colons is wanted"));
    }
    if request.firmware_version.chars().count() > 32 {
        return Err(Failure::bad_request("firmware_version: at most 32 characters"));
    }
    if request.device_euis.len() > EUIS_MAX || request.units.len() > UNITS_MAX {
        return Err(Failure::bad_request(format!("at most {EUIS_MAX} EUIs and {UNITS_MAX} units")));
    }
    if let Some(eui) = request.device_euis.iter().find(|eui| !is_eui(eui)) {
        let eui: String = eui.chars().filter(|c| !c.is_control()).take(32).collect();
        return Err(Failure::bad_request(format!("EUI {eui}: 16 hex digits in upper case are wanted")));
    }
    for unit in &request.units {
        let name = unit.name.chars().count();
        let limits = [unit.temp_min, unit.temp_max].iter().all(|limit| (-10_000..=10_000).contains(limit));
        let good = (1..=256).contains(&name)
            && !unit.name.contains('\0')
            && UNIT_TYPES.contains(&unit.unit_type.as_str())
            && Scale::parse(&unit.temp_unit).is_some()
            && limits
            && unit.temp_min < unit.temp_max;
        if !good {
            return Err(Failure::bad_request(
                "a unit has a name, a known type, C or F, and min < max in tenths",
            ));
        }
    }
    Ok(key)
}

fn minute(now_ms: i64) -> i64 {
    now_ms.div_euclid(60_000)
}

/// Counts a try of this address; too many in this minute end here.
async fn count_try(client: &Client, address: &str, now_ms: i64) -> Result<(), Failure> {
    let row = client
        .query_typed_one(
            "WITH old AS (DELETE FROM hub_sync.enrolment_tries WHERE minute < $3) \
             INSERT INTO hub_sync.enrolment_tries AS t (address, minute, tries) VALUES ($1, $2, 1) \
             ON CONFLICT (address, minute) DO UPDATE SET tries = t.tries + 1 RETURNING tries",
            &[
                (&address, Type::TEXT),
                (&minute(now_ms), Type::INT8),
                (&(minute(now_ms) - TRIES_KEPT_MIN), Type::INT8),
            ],
        )
        .await?;
    if row.get::<_, i32>(0) > TRIES_MAX {
        tracing::warn!(address, "too many codes tried from {address}");
        let detail = format!("more than {TRIES_MAX} codes tried in a minute; wait");
        return Err(Failure::reject(StatusCode::TOO_MANY_REQUESTS, ProblemKind::Busy, detail));
    }
    Ok(())
}

fn conflict(detail: &str, central_units: Vec<(Uuid, String, String)>) -> Failure {
    Failure::Reject(Box::new(Reject {
        status: StatusCode::CONFLICT,
        kind: ProblemKind::EnrolConflict,
        detail: detail.to_owned(),
        applied_through: None,
        central_units,
    }))
}

/// Makes the units that are asked for; every other one has its match, or nothing is done.
async fn place_units(
    app: &App,
    tx: &Transaction<'_>,
    hub: &Hub,
    request: &EnrolRequest,
    now_ms: i64,
) -> Result<(), Failure> {
    let rows = tx
        .query_typed(
            "SELECT u.id, u.name::text, u.unit_type::text FROM units u JOIN areas a ON a.id = u.area_id \
             WHERE a.site_id = $1 ORDER BY u.sort_order, u.name, u.id",
            &[(&hub.site, Type::UUID)],
        )
        .await?;
    let central: Vec<(Uuid, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let matches = |unit: &EnrolUnit| {
        central.iter().filter(|(_, name, kind)| *name == unit.name && *kind == unit.unit_type).count()
    };
    if let Some(unit) = request.units.iter().find(|unit| matches(unit) > 1) {
        let detail = format!("central has more than one {} named {:?}: map it", unit.unit_type, unit.name);
        return Err(conflict(&detail, central));
    }
    let missing: Vec<&EnrolUnit> = request.units.iter().filter(|unit| matches(unit) == 0).collect();
    if let Some(unit) = missing.iter().find(|unit| !(request.create_units && unit.create)) {
        let detail =
            format!("central has no {} named {:?}: map it, or --create-units", unit.unit_type, unit.name);
        return Err(conflict(&detail, central));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let divisor = threshold_divisor(tx, hub).await?;
    let area = area(app, tx, hub, now_ms).await?;
    for unit in missing {
        if unit.temp_min % divisor != 0 || unit.temp_max % divisor != 0 {
            let detail = format!("this organization stores whole degrees: give {:?} whole limits", unit.name);
            return Err(conflict(&detail, central));
        }
        let id = codes::make_uuid(&app.random).map_err(|error| Failure::Internal(error.into()))?;
        tx.execute_typed(
            "INSERT INTO units (id, area_id, name, unit_type, temp_min, temp_max, temp_unit, created_at, updated_at) \
             VALUES ($1, $2, $3, $4::unit_type, $5, $6, $7, $8, $8)",
            &[
                (&id, Type::UUID),
                (&area, Type::UUID),
                (&unit.name, Type::TEXT),
                (&unit.unit_type, Type::TEXT),
                (&((unit.temp_min / divisor) as i32), Type::INT4),
                (&((unit.temp_max / divisor) as i32), Type::INT4),
                (&unit.temp_unit, Type::TEXT),
                (&Ms(now_ms), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    }
    Ok(())
}

async fn threshold_divisor(tx: &Transaction<'_>, hub: &Hub) -> Result<i64, Failure> {
    let row = tx
        .query_typed_opt(
            "SELECT threshold_scale FROM hub_sync.organizations WHERE organization_id = $1",
            &[(&hub.organization, Type::UUID)],
        )
        .await?;
    match row.as_ref().map(|row| row.get::<_, &str>(0)) {
        Some("whole") => Ok(10),
        Some(_) => Ok(1),
        None => Err(Failure::Internal(anyhow::anyhow!(
            "organization {} has no threshold_scale",
            hub.organization
        ))),
    }
}

/// The site's first area, made when there is none.
async fn area(app: &App, tx: &Transaction<'_>, hub: &Hub, now_ms: i64) -> Result<Uuid, Failure> {
    let first = tx
        .query_typed_opt(
            "SELECT id FROM areas WHERE site_id = $1 AND is_active ORDER BY sort_order, created_at, id LIMIT 1",
            &[(&hub.site, Type::UUID)],
        )
        .await?;
    if let Some(row) = first {
        return Ok(row.get(0));
    }
    let id = codes::make_uuid(&app.random).map_err(|error| Failure::Internal(error.into()))?;
    tx.execute_typed(
        "INSERT INTO areas (id, site_id, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
        &[
            (&id, Type::UUID),
            (&hub.site, Type::UUID),
            (&AREA_NAME, Type::TEXT),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(id)
}

/// A MAC address that another row has stays there, unless that hub was revoked: this one is the same box.
async fn write_hub(
    tx: &Transaction<'_>,
    hub: &Hub,
    request: &EnrolRequest,
    now_ms: i64,
) -> Result<(), Failure> {
    tx.execute_typed(
        "UPDATE hubs SET mac_address = NULL, updated_at = $4 WHERE mac_address = $3 AND id <> $1 \
         AND id IN (SELECT hub_id FROM hub_sync.hubs WHERE revoked_at IS NOT NULL AND organization_id = $2)",
        &[
            (&hub.id, Type::UUID),
            (&hub.organization, Type::UUID),
            (&request.mac_address, Type::TEXT),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    tx.execute_typed(
        "UPDATE hubs SET firmware_version = $2, updated_at = $4, \
         mac_address = CASE WHEN EXISTS (SELECT 1 FROM hubs o WHERE o.mac_address = $3 AND o.id <> $1) \
         THEN mac_address ELSE coalesce($3, mac_address) END WHERE id = $1",
        &[
            (&hub.id, Type::UUID),
            (&request.firmware_version, Type::TEXT),
            (&request.mac_address, Type::TEXT),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Devices of the organization among those the hub hears; of others nothing is said.
async fn match_devices(
    tx: &Transaction<'_>,
    hub: &Hub,
    euis: &[String],
) -> Result<Vec<(String, Uuid)>, Failure> {
    let rows = tx
        .query_typed(
            "SELECT d.device_eui::text, d.id FROM devices d WHERE d.device_eui::text = ANY($1) \
             AND (EXISTS (SELECT 1 FROM units u JOIN areas a ON a.id = u.area_id JOIN sites s ON s.id = a.site_id \
             WHERE u.id = d.unit_id AND s.organization_id = $2) OR EXISTS (SELECT 1 FROM hubs h \
             JOIN sites s ON s.id = h.site_id WHERE h.id = d.hub_id AND s.organization_id = $2)) \
             ORDER BY d.device_eui",
            &[(&euis, Type::TEXT_ARRAY), (&hub.organization, Type::UUID)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
