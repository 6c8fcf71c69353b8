//! Lane 0: images of rows, each checked for whose it is, both as it comes and as it is there.

mod alert;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::auth::Hub;
use super::db::{self, Ms, Param};
use super::dead_letters::{DeadRow, Refused};
use super::image::{Bound, Column, Image};
use super::ownership::{self, FIRST_COLUMN};
use super::tables::{Access, Kind, Write};
use crate::wire::{RowImage, Value};

use self::alert::{merge_alert, note_open_alert};

/// Writes the rows in their order; returns what was refused: whole rows, and columns of rows that were written.
pub async fn apply(
    tx: &Transaction<'_>,
    hub: &Hub,
    rows: &[RowImage],
    now_ms: i64,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    tx.batch_execute("SAVEPOINT state").await?;
    let mut refused = Vec::new();
    let mut failed = false;
    for row in rows {
        match apply_row(tx, hub, row, now_ms).await {
            Ok(found) => refused.extend(found),
            Err(error) if db::is_fatal(&error) => return Err(error),
            Err(_) => {
                failed = true;
                break;
            }
        }
    }
    if failed {
        // One row cannot be written: all again, each in a savepoint of its own.
        tx.batch_execute("ROLLBACK TO SAVEPOINT state").await?;
        refused.clear();
        for row in rows {
            refused.extend(apply_alone(tx, hub, row, now_ms).await?);
        }
    }
    tx.batch_execute("RELEASE SAVEPOINT state").await?;
    Ok(refused)
}

/// One row in a savepoint: an error of the database refuses the row.
pub async fn apply_alone(
    tx: &Transaction<'_>,
    hub: &Hub,
    row: &RowImage,
    now_ms: i64,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    tx.batch_execute("SAVEPOINT one").await?;
    match apply_row(tx, hub, row, now_ms).await {
        Ok(refused) => {
            tx.batch_execute("RELEASE SAVEPOINT one").await?;
            Ok(refused)
        }
        Err(error) if db::is_fatal(&error) => Err(error),
        Err(error) => {
            tx.batch_execute("ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one").await?;
            let (reason, foreign) = match error.as_db_error().and_then(|error| error.constraint()) {
                Some("devices_eui_idx" | "lora_sensors_dev_eui_idx") => {
                    let whose = whose_eui(tx, hub, row).await?;
                    (whose.reason(), whose == Whose::AnotherOrganization)
                }
                Some("hubs_mac_idx") => ("its MAC address is another hub's".to_owned(), false),
                _ => (db::reason(&error), false),
            };
            Ok(vec![refuse(row, reason, foreign)])
        }
    }
}

/// To whom the device belongs that has an EUI already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The hub's own site.
    Site,
    AnotherSite,
    AnotherOrganization,
    /// Nothing leads from it to an organization.
    Unknown,
}

impl Whose {
    /// What there is to do, for both sides. Of another organization's device nothing is said but that it is theirs.
    fn reason(self) -> String {
        let rest = match self {
            Whose::Site => " of this site, whose id the hub takes with the next configuration",
            Whose::AnotherSite => " at another site of this organization: move that device to this site",
            Whose::AnotherOrganization => {
                ": it belongs to another organization, which must release it before it can be used here"
            }
            Whose::Unknown => ", which is in no unit and at no hub: give it to this site, or remove it",
        };
        format!("its EUI is another device's{rest}")
    }
}

async fn whose_eui(tx: &Transaction<'_>, hub: &Hub, row: &RowImage) -> Result<Whose, tokio_postgres::Error> {
    let eui = row.columns.iter().find_map(|(name, value)| match value {
        Value::Text(text) if matches!(name.as_str(), "device_eui" | "dev_eui") => Some(text.as_str()),
        _ => None,
    });
    let places = tx
        .query_typed(
            "SELECT s.id, s.organization_id FROM devices d \
             LEFT JOIN lora_sensors l ON l.device_id = d.id \
             LEFT JOIN units u ON u.id = d.unit_id LEFT JOIN areas a ON a.id = u.area_id \
             LEFT JOIN hubs h ON h.id = d.hub_id \
             JOIN sites s ON s.id = coalesce(a.site_id, h.site_id) \
             WHERE d.device_eui::text = $1 OR l.dev_eui::text = $1 \
             ORDER BY (s.organization_id = $2), (s.id = $3)",
            &[(&eui, Type::TEXT), (&hub.organization, Type::UUID), (&hub.site, Type::UUID)],
        )
        .await?;
    // Where the two tables disagree, the stranger counts.
    let place = places.first().map(|place| (place.get::<_, Uuid>(0), place.get::<_, Uuid>(1)));
    Ok(match place {
        None => Whose::Unknown,
        Some((site, _)) if site == hub.site => Whose::Site,
        Some((_, organization)) if organization == hub.organization => Whose::AnotherSite,
        Some(_) => Whose::AnotherOrganization,
    })
}

async fn apply_row(
    tx: &Transaction<'_>,
    hub: &Hub,
    row: &RowImage,
    now_ms: i64,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    let mut image = match Image::read(row) {
        Ok(image) => image,
        Err(reason) => return Ok(vec![refuse(row, reason, false)]),
    };
    let mut refused: Vec<Refused> = image
        .unknown
        .iter()
        .map(|column| {
            note(row, format!("column {column} is not one a hub writes; the rest of the row was written"))
        })
        .collect();
    let common =
        Common { id: image.id, site: hub.site, organization: hub.organization, hub: hub.id, now: Ms(now_ms) };
    let there = there(tx, &common, &image).await?;
    let mut said = None;
    if image.table.name == "alerts" && there.as_ref().is_none_or(|there| there.mine) {
        said = Some(merge_alert(tx, &common, &mut image).await?);
    }
    let written = match there {
        None if image.table.access == Access::Update => {
            Err(format!("there is no such row in {}; central makes them", image.table.name))
        }
        None => insert(tx, &common, &mut image).await?,
        // The same link of a chain, sent by a hub that has a copy of the database, or succeeds the one that sent it first.
        Some(there) if !there.mine && image.table.name == "event_logs" && there.differing.is_empty() => {
            Ok(())
        }
        Some(there) if !there.mine => {
            Err(format!("the row in {} is not this hub's to write", image.table.name))
        }
        Some(there) if image.table.access == Access::Append && !there.differing.is_empty() => {
            Err(format!("a row of {} never changes", image.table.name))
        }
        Some(_) if image.table.access == Access::Append => Ok(()),
        Some(there) => {
            let fixed = there.differing.iter().filter(|_| !there.owned);
            refused.extend(fixed.map(|column| {
                note(
                    row,
                    format!(
                        "column {column} is fixed since the row was made; the rest of the row was written"
                    ),
                )
            }));
            update(tx, &common, &image, there.owned).await?
        }
    };
    if let Err(reason) = written {
        return Ok(vec![refuse(row, reason, true)]);
    }
    if let Some(said) = said {
        note_open_alert(tx, &common, said).await?;
    }
    Ok(refused)
}

fn refuse(row: &RowImage, reason: String, foreign: bool) -> Refused {
    let dead = DeadRow::Image(row.clone());
    Refused { table: row.table.clone(), key: row.id.to_string(), reason, row: Some(dead), foreign }
}

fn note(row: &RowImage, reason: String) -> Refused {
    Refused { table: row.table.clone(), key: row.id.to_string(), reason, row: None, foreign: false }
}

/// The parameters that every statement of this file begins with.
struct Common {
    id: Uuid,
    site: Uuid,
    organization: Uuid,
    hub: Uuid,
    now: Ms,
}

impl Common {
    fn with<'a>(&'a self, columns: &[&'a Column]) -> Vec<Param<'a>> {
        let mut params: Vec<Param<'a>> = vec![
            (&self.id, Type::UUID),
            (&self.site, Type::UUID),
            (&self.organization, Type::UUID),
            (&self.hub, Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
        ];
        params.extend(columns.iter().map(|column| column.bound.param()));
        params
    }
}

/// The value of a column as SQL; a loose reference that leads nowhere the hub may name becomes NULL.
fn expression(image: &Image, column: &Column, number: usize) -> String {
    match column.kind {
        Kind::Enum(name) => format!("${number}::{name}"),
        Kind::Hundredths(..) => format!("${number}::numeric / 100"),
        _ => match image.table.link(column.name).filter(|link| !link.chain) {
            Some(link) => {
                let parameter = format!("${number}");
                format!("CASE WHEN {} THEN {parameter} END", ownership::belongs(link.target, &parameter))
            }
            None => format!("${number}"),
        },
    }
}

/// The chain of the row that comes, as far as it names it.
fn row_that_comes(image: &Image, columns: &[&Column]) -> String {
    let links = columns.iter().enumerate().filter(|(_, column)| !column.bound.is_null()).filter_map(
        |(at, column)| {
            let link = image.table.link(column.name).filter(|link| link.chain)?;
            Some(ownership::belongs(link.target, &format!("${}", FIRST_COLUMN + at)))
        },
    );
    let links: Vec<String> = links.collect();
    if links.is_empty() { "true".to_owned() } else { links.join(" AND ") }
}

struct There {
    mine: bool,
    owned: bool,
    /// Columns fixed at birth that came with another value.
    differing: Vec<String>,
}

/// The row that is there, locked.
async fn there(
    tx: &Transaction<'_>,
    common: &Common,
    image: &Image,
) -> Result<Option<There>, tokio_postgres::Error> {
    let fixed: Vec<&Column> = image
        .columns
        .iter()
        .filter(|column| column.write == Write::Birth && column.name != "created_at")
        // When an audit row is placed or its hub enrolled, all but the chain may change.
        .filter(|column| {
            image.table.access != Access::Append || matches!(column.name, "hash" | "previous_hash")
        })
        .collect();
    let differing: Vec<String> = fixed
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let value = expression(image, column, FIRST_COLUMN + at);
            format!("CASE WHEN t.{name} IS DISTINCT FROM {value} THEN '{name}' END", name = column.name)
        })
        .collect();
    let sql = format!(
        "SELECT {mine}, {owned}, array_remove(ARRAY[{differing}]::text[], NULL) FROM {table} t WHERE t.id = $1 \
         FOR NO KEY UPDATE OF t",
        mine = ownership::row_there(image.table),
        owned = ownership::owned(image.table.name, "t.id"),
        differing = differing.join(", "),
        table = image.table.name,
    );
    let row = tx.query_typed_opt(&sql, &common.with(&fixed)).await?;
    Ok(row.map(|row| There { mine: row.get(0), owned: row.get(1), differing: row.get(2) }))
}

/// Err: why the row was not written.
async fn insert(
    tx: &Transaction<'_>,
    common: &Common,
    image: &mut Image,
) -> Result<Result<(), String>, tokio_postgres::Error> {
    if image.table.name == "devices" && image.get("hub_id").is_none() {
        image.set("hub_id", Bound::Uuid(Some(common.hub)));
    }
    let image = &*image;
    let columns: Vec<&Column> = image.columns.iter().collect();
    let chained = |column: &&&Column| image.table.link(column.name).is_some_and(|link| link.chain);
    if image.table.access != Access::Own
        && columns.iter().filter(chained).all(|column| column.bound.is_null())
    {
        return Ok(Err("it names nothing of this hub's site that it belongs to".to_owned()));
    }
    let mut names = vec!["id".to_owned()];
    let mut values = vec!["$1".to_owned()];
    for (at, column) in columns.iter().enumerate() {
        names.push(format!("\"{}\"", column.name));
        values.push(expression(image, column, FIRST_COLUMN + at));
    }
    if image.table.updated_at {
        names.push("updated_at".to_owned());
        values.push("$5".to_owned());
    }
    let insert = format!(
        "INSERT INTO {table} ({names}) SELECT {values} WHERE {comes}",
        table = image.table.name,
        names = names.join(", "),
        values = values.join(", "),
        comes = row_that_comes(image, &columns),
    );
    let sql = if image.table.noted {
        format!(
            "WITH made AS ({insert} RETURNING id) INSERT INTO hub_sync.row_owner (hub_id, table_name, row_id) \
             SELECT $4, '{table}', made.id FROM made \
             ON CONFLICT (table_name, row_id) DO UPDATE SET hub_id = excluded.hub_id",
            table = image.table.name
        )
    } else {
        insert
    };
    Ok(match tx.execute_typed(&sql, &common.with(&columns)).await? {
        0 => Err("it leads to a row that is not of this hub's site".to_owned()),
        _ => Ok(()),
    })
}

/// Err: why the row was not written.
async fn update(
    tx: &Transaction<'_>,
    common: &Common,
    image: &Image,
    owned: bool,
) -> Result<Result<(), String>, tokio_postgres::Error> {
    let columns: Vec<&Column> =
        image.columns.iter().filter(|column| column.write == Write::Ever || owned).collect();
    if columns.is_empty() {
        return Ok(Ok(()));
    }
    let mut sets: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("\"{}\" = {}", column.name, expression(image, column, FIRST_COLUMN + at)))
        .collect();
    if image.table.updated_at {
        sets.push("updated_at = $5".to_owned());
    }
    let sql = format!(
        "UPDATE {table} t SET {sets} WHERE t.id = $1 AND {there} AND {comes}",
        table = image.table.name,
        sets = sets.join(", "),
        there = ownership::row_there(image.table),
        comes = row_that_comes(image, &columns),
    );
    Ok(match tx.execute_typed(&sql, &common.with(&columns)).await? {
        0 => Err("it leads to a row that is not of this hub's site".to_owned()),
        _ => Ok(()),
    })
}
