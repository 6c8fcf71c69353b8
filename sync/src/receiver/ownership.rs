//! To whom a row belongs, as SQL conditions.
//!
//! Parameters common to all statements of lane 0: $1 row, $2 site, $3 organization, $4 hub, $5 now.

use super::tables::{Access, Link, Table, Target};

/// Number of the first parameter after the common ones.
pub const FIRST_COLUMN: usize = 6;

/// Whether what `expression` (a uuid) names belongs to the hub's site, or for rules and profiles to what it may name.
pub fn belongs(target: Target, expression: &str) -> String {
    match target {
        Target::Area => {
            format!("EXISTS (SELECT 1 FROM areas ar WHERE ar.id = {expression} AND ar.site_id = $2)")
        }
        Target::Unit => format!(
            "EXISTS (SELECT 1 FROM units un JOIN areas ar ON ar.id = un.area_id \
             WHERE un.id = {expression} AND ar.site_id = $2)"
        ),
        Target::Hub => {
            format!("EXISTS (SELECT 1 FROM hubs hu WHERE hu.id = {expression} AND hu.site_id = $2)")
        }
        Target::Device => format!(
            "EXISTS (SELECT 1 FROM devices de WHERE de.id = {expression} \
             AND (de.unit_id IS NOT NULL OR de.hub_id IS NOT NULL OR {owned}) \
             AND (de.unit_id IS NULL OR {unit}) AND (de.hub_id IS NULL OR {hub}))",
            owned = owned("devices", "de.id"),
            unit = belongs(Target::Unit, "de.unit_id"),
            hub = belongs(Target::Hub, "de.hub_id"),
        ),
        Target::Alert => format!(
            "EXISTS (SELECT 1 FROM alerts al JOIN units un ON un.id = al.unit_id JOIN areas ar ON ar.id = un.area_id \
             WHERE al.id = {expression} AND ar.site_id = $2)"
        ),
        Target::Rule => format!(
            "EXISTS (SELECT 1 FROM alert_rules ru WHERE ru.id = {expression} AND ru.organization_id = $3 \
             AND (ru.site_id IS NULL OR ru.site_id = $2) AND (ru.unit_id IS NULL OR {unit}))",
            unit = belongs(Target::Unit, "ru.unit_id"),
        ),
        Target::Profile => format!(
            "EXISTS (SELECT 1 FROM profiles pr WHERE pr.id = {expression} AND pr.organization_id = $3)"
        ),
        Target::Organization => format!("{expression} = $3"),
    }
}

/// Whether the hub made the row.
pub fn owned(table: &str, id: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM hub_sync.row_owner ro WHERE ro.table_name = '{table}' AND ro.row_id = {id} \
         AND ro.hub_id = $4)"
    )
}

/// Whether the row that is there (alias `t`) is the hub's to write.
pub fn row_there(table: &Table) -> String {
    let chain: Vec<&Link> = table.links.iter().filter(|link| link.chain).collect();
    if chain.is_empty() {
        // Only `hubs`: a hub writes its own row.
        return "t.id = $4".to_owned();
    }
    let owned = owned(table.name, "t.id");
    let links = chain.iter().map(|link| {
        let column = format!("t.{}", link.column);
        format!("({column} IS NULL OR {})", belongs(link.target, &column))
    });
    let some = chain.iter().map(|link| format!("t.{} IS NOT NULL", link.column));
    let some = some.chain(table.noted.then(|| owned.clone())).collect::<Vec<_>>().join(" OR ");
    let mut all: Vec<String> = links.collect();
    all.push(format!("({some})"));
    if matches!(table.access, Access::Own | Access::Append) {
        all.push(owned);
    }
    all.join(" AND ")
}
