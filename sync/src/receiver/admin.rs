//! What an administrator does: add hubs, make codes, list, revoke, confirm a removal.

use anyhow::{Context, anyhow, bail};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::auth::Hub;
use super::codes;
use super::db::Ms;
use super::presence::SILENT_MS;
use super::problem::Failure;
use super::snapshot;

/// A code lives 24 h.
pub const CODE_MS: i64 = 24 * 3_600 * 1_000;
/// Without `--history-from` a hub sends what is at most 90 days old.
pub const HISTORY_MS: i64 = 90 * 24 * 3_600 * 1_000;
/// Units printed in both scales before a person chooses.
const EXAMPLES: i64 = 3;
/// Sites named to who gave none that is there.
const SITES_NAMED_MAX: usize = 20;

/// What the threshold columns of an organization hold. Never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdScale {
    /// 330 is 33.0 degrees.
    Tenths,
    /// 33 is 33 degrees.
    Whole,
}

impl ThresholdScale {
    fn as_str(self) -> &'static str {
        match self {
            ThresholdScale::Tenths => "tenths",
            ThresholdScale::Whole => "whole",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "tenths" => Some(ThresholdScale::Tenths),
            "whole" => Some(ThresholdScale::Whole),
            _ => None,
        }
    }
}

/// What is to be added.
#[derive(Clone, Debug)]
pub struct NewHub {
    pub site: Uuid,
    pub name: String,
    /// None: the organization's own, which must then have been set.
    pub threshold_scale: Option<ThresholdScale>,
    /// Unix ms; None: `HISTORY_MS` back.
    pub history_from_ms: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AddedHub {
    pub hub_id: Uuid,
    pub organization_id: Uuid,
    /// Shown once; only its hash is kept.
    pub code: String,
    pub code_expires_ms: i64,
    pub history_from_ms: i64,
    pub threshold_scale: ThresholdScale,
}

/// A unit's limits as they stand in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub unit: String,
    pub min: i32,
    pub max: i32,
    pub temp_unit: String,
}

impl Limits {
    /// "33.0 to 41.0 °F"
    pub fn show(&self, scale: ThresholdScale) -> String {
        let tenths = |stored: i32| i64::from(stored) * if scale == ThresholdScale::Whole { 10 } else { 1 };
        let degrees = |tenths: i64| {
            let sign = if tenths < 0 { "-" } else { "" };
            format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
        };
        format!("{} to {} °{}", degrees(tenths(self.min)), degrees(tenths(self.max)), self.temp_unit)
    }
}

/// The scale an organization has, if any, and units to show to who must choose.
pub async fn scale_of_site(
    client: &Client,
    site: Uuid,
) -> anyhow::Result<(Option<ThresholdScale>, Vec<Limits>)> {
    let organization = organization_of(client, site).await?;
    let scale = client
        .query_typed_opt(
            "SELECT threshold_scale FROM hub_sync.organizations WHERE organization_id = $1",
            &[(&organization, Type::UUID)],
        )
        .await?;
    let units = client
        .query_typed(
            "SELECT u.name::text, u.temp_min, u.temp_max, u.temp_unit::text FROM units u \
             JOIN areas a ON a.id = u.area_id JOIN sites s ON s.id = a.site_id WHERE s.organization_id = $1 \
             ORDER BY (a.site_id = $2) DESC, u.is_active DESC, u.sort_order, u.name LIMIT $3",
            &[(&organization, Type::UUID), (&site, Type::UUID), (&EXAMPLES, Type::INT8)],
        )
        .await?;
    let limits = units.iter().map(|row| Limits {
        unit: row.get(0),
        min: row.get(1),
        max: row.get(2),
        temp_unit: row.get(3),
    });
    Ok((scale.and_then(|row| ThresholdScale::parse(row.get(0))), limits.collect()))
}

async fn organization_of(client: &Client, site: Uuid) -> anyhow::Result<Uuid> {
    let row = client
        .query_typed_opt("SELECT organization_id FROM sites WHERE id = $1", &[(&site, Type::UUID)])
        .await
        .context("look up the site")?;
    match row {
        Some(row) => Ok(row.get(0)),
        None => Err(no_site(client, &format!("there is no site {site}")).await?),
    }
}

/// The id that a person gave. Names are not taken: they are unique in no organization, let alone among all.
pub async fn site_id(client: &Client, given: &str) -> anyhow::Result<Uuid> {
    match given.parse() {
        Ok(site) => Ok(site),
        Err(_) => Err(no_site(client, &format!("{given:?} is no id of a site (a UUID)")).await?),
    }
}

/// `problem`, and the sites that are there.
async fn no_site(client: &Client, problem: &str) -> anyhow::Result<anyhow::Error> {
    let rows = client
        .query_typed(
            "SELECT s.id, s.name::text, o.name::text FROM sites s JOIN organizations o ON o.id = s.organization_id \
             ORDER BY o.name, s.name, s.id LIMIT $1",
            &[(&(SITES_NAMED_MAX as i64 + 1), Type::INT8)],
        )
        .await
        .context("list the sites")?;
    if rows.is_empty() {
        return Ok(anyhow!(
            "{problem}, nor any other: central's own application makes organizations and sites"
        ));
    }
    let named = rows.iter().take(SITES_NAMED_MAX).map(|row| {
        let (id, name, organization): (Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
        format!("\n  {id}  {name:?} of {organization:?}")
    });
    let more = if rows.len() > SITES_NAMED_MAX { "\n  and more" } else { "" };
    Ok(anyhow!("{problem}; there are:{}{more}", named.collect::<String>()))
}

/// Makes the hub's row, its organization's setting and a one-time code.
pub async fn add_hub(client: &mut Client, hub: &NewHub, now_ms: i64) -> anyhow::Result<AddedHub> {
    let name = hub.name.trim();
    if name.is_empty() || name.chars().count() > 256 {
        bail!("name the hub: 1 to 256 characters");
    }
    let (present, _) = scale_of_site(client, hub.site).await?;
    let threshold_scale = match (present, hub.threshold_scale) {
        (None, None) => bail!(
            "the organization's threshold scale is not known: give --threshold-scale tenths or --threshold-scale whole"
        ),
        (Some(present), Some(given)) if present != given => bail!(
            "the organization's threshold scale is {} already, not {}",
            present.as_str(),
            given.as_str()
        ),
        (Some(scale), _) | (None, Some(scale)) => scale,
    };
    let organization = organization_of(client, hub.site).await?;
    let history_from_ms = hub.history_from_ms.unwrap_or(now_ms - HISTORY_MS);
    let random = SystemRandom::new();
    let hub_id = codes::make_uuid(&random)?;
    let tx = client.transaction().await?;
    tx.execute_typed(
        "INSERT INTO hub_sync.organizations (organization_id, threshold_scale) VALUES ($1, $2) \
         ON CONFLICT (organization_id) DO NOTHING",
        &[(&organization, Type::UUID), (&threshold_scale.as_str(), Type::TEXT)],
    )
    .await?;
    tx.execute_typed(
        "INSERT INTO hubs (id, site_id, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
        &[
            (&hub_id, Type::UUID),
            (&hub.site, Type::UUID),
            (&name, Type::TEXT),
            (&Ms(now_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await
    .context("make the hub's row")?;
    tx.execute_typed(
        "INSERT INTO hub_sync.hubs (hub_id, site_id, organization_id, history_from) VALUES ($1, $2, $3, $4)",
        &[
            (&hub_id, Type::UUID),
            (&hub.site, Type::UUID),
            (&organization, Type::UUID),
            (&Ms(history_from_ms), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    let (code, code_expires_ms) = insert_code(&tx, &random, hub_id, now_ms).await?;
    tx.commit().await?;
    let organization_id = organization;
    Ok(AddedHub { hub_id, organization_id, code, code_expires_ms, history_from_ms, threshold_scale })
}

/// A code of a hub.
#[derive(Clone, Debug, Serialize)]
pub struct Code {
    pub hub_id: Uuid,
    pub code: String,
    pub code_expires_ms: i64,
}

/// A new code for a hub that was added before; earlier unused ones end.
pub async fn new_code(client: &mut Client, hub: Uuid, now_ms: i64) -> anyhow::Result<Code> {
    let tx = client.transaction().await?;
    let known = tx
        .execute_typed(
            "UPDATE hub_sync.hubs SET hub_id = hub_id WHERE hub_id = $1 AND revoked_at IS NULL",
            &[(&hub, Type::UUID)],
        )
        .await?;
    if known == 0 {
        bail!("there is no hub {hub}, or it was revoked");
    }
    tx.execute_typed(
        "DELETE FROM hub_sync.enrolment_codes WHERE hub_id = $1 AND used_at IS NULL",
        &[(&hub, Type::UUID)],
    )
    .await?;
    let (code, code_expires_ms) = insert_code(&tx, &SystemRandom::new(), hub, now_ms).await?;
    tx.commit().await?;
    Ok(Code { hub_id: hub, code, code_expires_ms })
}

async fn insert_code(
    tx: &Transaction<'_>,
    random: &dyn SecureRandom,
    hub: Uuid,
    now_ms: i64,
) -> anyhow::Result<(String, i64)> {
    let code = codes::make_code(random)?;
    let digest = codes::hash_code(&code).context("hash the code just made")?;
    let expires_ms = now_ms + CODE_MS;
    tx.execute_typed(
        "INSERT INTO hub_sync.enrolment_codes (code_sha256, hub_id, expires_at) VALUES ($1, $2, $3)",
        &[(&digest.as_slice(), Type::BYTEA), (&hub, Type::UUID), (&Ms(expires_ms), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok((code, expires_ms))
}

/// A line of `hub list`.
#[derive(Clone, Debug, Serialize)]
pub struct ListedHub {
    pub hub_id: Uuid,
    pub site_id: Uuid,
    pub organization_id: Uuid,
    pub name: Option<String>,
    pub enrolled: bool,
    pub revoked: bool,
    /// Enrolled, and three polls were missed.
    pub silent: bool,
    pub last_seen_ms: Option<i64>,
    pub dead_letters: i64,
    pub security_events: i64,
    /// The last snapshot the hub did not take, and why.
    pub refused_reason: Option<String>,
}

pub async fn list_hubs(client: &Client, now_ms: i64) -> anyhow::Result<Vec<ListedHub>> {
    let rows = client
        .query_typed(
            "SELECT h.hub_id, h.site_id, h.organization_id, c.name::text, h.token_sha256 IS NOT NULL, \
             h.revoked_at IS NOT NULL, h.last_seen_at, \
             (SELECT count(*) FROM hub_sync.dead_letters d WHERE d.hub_id = h.hub_id), \
             (SELECT count(*) FROM hub_sync.security_events e WHERE e.hub_id = h.hub_id), h.refused_reason \
             FROM hub_sync.hubs h LEFT JOIN hubs c ON c.id = h.hub_id ORDER BY c.name, h.hub_id",
            &[],
        )
        .await
        .context("list the hubs")?;
    let listed = rows.iter().map(|row| {
        let last_seen_ms = row.get::<_, Option<Ms>>(6).map(|ms| ms.0);
        let (enrolled, revoked): (bool, bool) = (row.get(4), row.get(5));
        let silent = enrolled && !revoked && last_seen_ms.is_none_or(|seen| seen < now_ms - SILENT_MS);
        ListedHub {
            hub_id: row.get(0),
            site_id: row.get(1),
            organization_id: row.get(2),
            name: row.get(3),
            enrolled,
            revoked,
            silent,
            last_seen_ms,
            dead_letters: row.get(7),
            security_events: row.get(8),
            refused_reason: row.get(9),
        }
    });
    Ok(listed.collect())
}

/// Ends a hub's credential at once; its rows stay.
pub async fn revoke(client: &mut Client, hub: Uuid, now_ms: i64) -> anyhow::Result<()> {
    let tx = client.transaction().await?;
    let revoked = tx
        .execute_typed(
            "UPDATE hub_sync.hubs SET revoked_at = coalesce(revoked_at, $2), token_sha256 = NULL WHERE hub_id = $1",
            &[(&hub, Type::UUID), (&Ms(now_ms), Type::TIMESTAMPTZ)],
        )
        .await?;
    if revoked == 0 {
        bail!("there is no hub {hub}");
    }
    tx.execute_typed("DELETE FROM hub_sync.enrolment_codes WHERE hub_id = $1", &[(&hub, Type::UUID)]).await?;
    tx.execute_typed(
        "UPDATE hubs SET is_online = false, updated_at = $2 WHERE id = $1",
        &[(&hub, Type::UUID), (&Ms(now_ms), Type::TIMESTAMPTZ)],
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// A person vouches that the units missing from the present configuration are meant to go. It holds for this
/// configuration only; gives its hash.
pub async fn confirm_removal(client: &mut Client, hub: Uuid) -> anyhow::Result<String> {
    let row = client
        .query_typed_opt(
            "SELECT site_id, organization_id FROM hub_sync.hubs WHERE hub_id = $1 AND revoked_at IS NULL",
            &[(&hub, Type::UUID)],
        )
        .await?
        .with_context(|| format!("there is no hub {hub}, or it was revoked"))?;
    let known = Hub { id: hub, site: row.get(0), organization: row.get(1), last_seen_ms: None };
    let tx = client.transaction().await?;
    let snapshot = snapshot::read(&tx, &known).await.map_err(|failure| match failure {
        Failure::Internal(error) => error,
        other => anyhow!("read the present configuration: {other:?}"),
    })?;
    let etag = snapshot::content_etag(&snapshot.rows);
    tx.execute_typed(
        "UPDATE hub_sync.hubs SET confirm_removal_etag = $2 WHERE hub_id = $1",
        &[(&hub, Type::UUID), (&etag, Type::TEXT)],
    )
    .await?;
    tx.commit().await?;
    Ok(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shown_both_ways() {
        let limits = |min, max, unit: &str| Limits { unit: "u".into(), min, max, temp_unit: unit.into() };
        assert_eq!(limits(33, 41, "F").show(ThresholdScale::Whole), "33.0 to 41.0 °F");
        assert_eq!(limits(33, 41, "F").show(ThresholdScale::Tenths), "3.3 to 4.1 °F");
        assert_eq!(limits(-5, 15, "C").show(ThresholdScale::Tenths), "-0.5 to 1.5 °C");
    }
}
