//! What a configuration must hold before the hub takes it. Pure: a wrong one would switch off or falsify monitoring.

use std::collections::HashSet;

use uuid::Uuid;

use super::{rows, tables};
use crate::domain::{Scale, UnitType, convert};
use frostguard_sync::api::Snapshot;
use frostguard_sync::wire::{RowImage, Value};

/// Limits in hundredths of a degree Celsius that no cold room has: -60..+25 °C.
const LIMIT_MIN: i64 = -6_000;
const LIMIT_MAX: i64 = 2_500;
/// The warmest upper limit of a fridge (15 °C) and of a freezer (0 °C).
const FRIDGE_MAX: i64 = 1_500;
const FREEZER_MAX: i64 = 0;
/// Reasons told at once: a person reads them.
const REASONS_MAX: usize = 5;

/// What the hub has.
#[derive(Clone, Debug)]
pub struct Have {
    pub site_id: Uuid,
    pub organization_id: Uuid,
    /// Units that are monitored now.
    pub units: Vec<UnitHave>,
}

#[derive(Clone, Debug)]
pub struct UnitHave {
    pub id: Uuid,
    pub scale: Scale,
    /// Tenths of a degree in `scale`.
    pub temp_min: i64,
    pub temp_max: i64,
}

/// Whether the snapshot may be applied; else why not, for a person.
pub fn check(snapshot: &Snapshot, have: &Have) -> Result<(), String> {
    let mut reasons = Vec::new();
    if snapshot.site_id != have.site_id || snapshot.organization_id != have.organization_id {
        reasons.push("it is for another site or organization".to_owned());
    }
    check_rows(snapshot, &mut reasons);
    check_owners(snapshot, &mut reasons);
    let units: Vec<&RowImage> = of(snapshot, "units").filter(|row| is_active(row)).collect();
    if units.is_empty() {
        reasons.push("it has no active unit".to_owned());
    }
    let kept: HashSet<Uuid> = units.iter().map(|row| row.id).collect();
    let gone = have.units.iter().filter(|unit| !kept.contains(&unit.id)).count();
    if gone * 3 > have.units.len() && !snapshot.confirm_removal {
        reasons.push(format!(
            "{gone} of {} units are missing or inactive; confirm the removal centrally if that is meant",
            have.units.len()
        ));
    }
    for row in units {
        let before = have.units.iter().find(|unit| unit.id == row.id);
        if let Err(reason) = check_unit(row, before) {
            reasons.push(format!("unit {:?}: {reason}", text(row, "name").unwrap_or("without a name")));
        }
    }
    for rule in of(snapshot, "alert_rules") {
        if let Err(reason) = check_rule(snapshot, rule) {
            reasons.push(format!("rule {:?}: {reason}", text(rule, "name").unwrap_or("without a name")));
        }
    }
    let more = reasons.len().saturating_sub(REASONS_MAX);
    reasons.truncate(REASONS_MAX);
    match (reasons.is_empty(), more) {
        (true, _) => Ok(()),
        (false, 0) => Err(reasons.join("; ")),
        (false, _) => Err(format!("{}; and {more} more", reasons.join("; "))),
    }
}

/// The rows of a table.
pub fn of<'a>(snapshot: &'a Snapshot, table: &str) -> impl Iterator<Item = &'a RowImage> {
    snapshot.rows.iter().filter(move |row| row.table == table)
}

pub fn text<'a>(row: &'a RowImage, column: &str) -> Option<&'a str> {
    match value(row, column)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

pub fn int(row: &RowImage, column: &str) -> Option<i64> {
    match value(row, column)? {
        Value::Int(int) | Value::Millis(int) | Value::Hundredths(int) => Some(*int),
        _ => None,
    }
}

pub fn uuid(row: &RowImage, column: &str) -> Option<Uuid> {
    match value(row, column)? {
        Value::Uuid(id) => Some(*id),
        _ => None,
    }
}

pub fn value<'a>(row: &'a RowImage, column: &str) -> Option<&'a Value> {
    row.columns.iter().find(|(name, _)| name == column).map(|(_, value)| value)
}

/// A row that says nothing is active.
pub fn is_active(row: &RowImage) -> bool {
    value(row, "is_active") != Some(&Value::Bool(false))
}

/// Values of another type than their columns cannot be stored.
fn check_rows(snapshot: &Snapshot, reasons: &mut Vec<String>) {
    for row in &snapshot.rows {
        let wrong = tables::find(&row.table).map(|table| rows::misfits(table, row).1).unwrap_or_default();
        if let Some(column) = wrong.first() {
            reasons.push(format!("{column} of row {} has another type", row.id));
        }
    }
}

/// The site's own row, areas and units must be of the site, and everything else of the organization.
fn check_owners(snapshot: &Snapshot, reasons: &mut Vec<String>) {
    let areas: HashSet<Uuid> = of(snapshot, "areas").map(|row| row.id).collect();
    for row in &snapshot.rows {
        let is_foreign = match row.table.as_str() {
            "organizations" => row.id != snapshot.organization_id,
            "sites" => {
                row.id != snapshot.site_id || uuid(row, "organization_id") != Some(snapshot.organization_id)
            }
            "areas" | "hubs" => uuid(row, "site_id") != Some(snapshot.site_id),
            "units" => uuid(row, "area_id").is_none_or(|area| !areas.contains(&area)),
            "profiles" | "user_roles" | "alert_rules" | "escalation_contacts" => {
                uuid(row, "organization_id") != Some(snapshot.organization_id)
            }
            _ => false,
        };
        if is_foreign {
            reasons.push(format!("row {} of {} belongs elsewhere", row.id, row.table));
        }
    }
}

fn check_unit(row: &RowImage, before: Option<&UnitHave>) -> Result<(), String> {
    let unit_type = text(row, "unit_type").and_then(UnitType::parse).ok_or("its type is not known")?;
    let scale = text(row, "temp_unit").and_then(Scale::parse).ok_or("its temp_unit is neither F nor C")?;
    let min = int(row, "temp_min").ok_or("it has no temp_min")?;
    let max = int(row, "temp_max").ok_or("it has no temp_max")?;
    check_limits(Some(min), Some(max), scale, unit_type)?;
    let Some(before) = before.filter(|before| before.scale != scale) else { return Ok(()) };
    // The same cold room in another scale: its old and new limits must have something in common.
    let (old_min, old_max) = (celsius(before.temp_min, before.scale), celsius(before.temp_max, before.scale));
    if celsius(max, scale) < old_min || celsius(min, scale) > old_max {
        return Err(format!(
            "its scale changed to °{} but {} are not the limits it had",
            scale.as_str(),
            shown(min, max, scale)
        ));
    }
    Ok(())
}

/// Limits of a rule for one unit stand in that unit's scale.
fn check_rule(snapshot: &Snapshot, rule: &RowImage) -> Result<(), String> {
    let (min, max) = (int(rule, "temp_min"), int(rule, "temp_max"));
    let Some(unit) = uuid(rule, "unit_id").and_then(|id| of(snapshot, "units").find(|row| row.id == id))
    else {
        return Ok(());
    };
    let scale = text(unit, "temp_unit").and_then(Scale::parse);
    let unit_type = text(unit, "unit_type").and_then(UnitType::parse);
    match scale.zip(unit_type) {
        Some((scale, unit_type)) => check_limits(
            min.or_else(|| int(unit, "temp_min")),
            max.or_else(|| int(unit, "temp_max")),
            scale,
            unit_type,
        ),
        // The unit itself says so.
        None => Ok(()),
    }
}

/// Limits (tenths) of a unit made here: the same that a configuration from central must keep to.
pub fn local_limits(min: i32, max: i32, scale: Scale, unit_type: UnitType) -> Result<(), String> {
    check_limits(Some(min.into()), Some(max.into()), scale, unit_type)
}

fn check_limits(min: Option<i64>, max: Option<i64>, scale: Scale, unit_type: UnitType) -> Result<(), String> {
    let Some((min, max)) = min.zip(max) else { return Ok(()) };
    let shown = shown(min, max, scale);
    let (low, high) = (celsius(min, scale), celsius(max, scale));
    if max <= min {
        return Err(format!("{shown}: the upper limit is not above the lower"));
    }
    if low < LIMIT_MIN || high > LIMIT_MAX {
        return Err(format!("{shown}: limits outside -60..+25 °C"));
    }
    let (highest, kind) = match unit_type {
        UnitType::BlastChiller => return Ok(()),
        freezer if freezer.is_freezer() => (FREEZER_MAX, "freezer"),
        _ => (FRIDGE_MAX, "fridge"),
    };
    if high > highest {
        return Err(format!("{shown}: too warm for a {kind}"));
    }
    Ok(())
}

/// Tenths in a scale as hundredths of a degree Celsius.
fn celsius(tenths: i64, scale: Scale) -> i64 {
    convert(tenths.saturating_mul(10), scale, Scale::C)
}

fn shown(min: i64, max: i64, scale: Scale) -> String {
    let degrees = |tenths: i64| {
        format!(
            "{}{}.{}",
            if tenths < 0 { "-" } else { "" },
            tenths.unsigned_abs() / 10,
            tenths.unsigned_abs() % 10
        )
    };
    format!("{} to {} °{}", degrees(min), degrees(max), scale.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Uuid = Uuid::from_u128(1);
    const ORGANIZATION: Uuid = Uuid::from_u128(2);
    const AREA: Uuid = Uuid::from_u128(3);

    fn row(table: &str, id: u128, columns: &[(&str, Value)]) -> RowImage {
        let columns = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        RowImage { table: table.into(), id: Uuid::from_u128(id), columns }
    }

    fn unit(id: u128, unit_type: &str, scale: &str, min: i64, max: i64) -> RowImage {
        row(
            "units",
            id,
            &[
                ("area_id", Value::Uuid(AREA)),
                ("name", Value::Text(format!("Unit {id}"))),
                ("unit_type", Value::Text(unit_type.into())),
                ("temp_unit", Value::Text(scale.into())),
                ("temp_min", Value::Int(min)),
                ("temp_max", Value::Int(max)),
            ],
        )
    }

    fn inactive(mut unit: RowImage) -> RowImage {
        unit.columns.push(("is_active".into(), Value::Bool(false)));
        unit
    }

    fn fridge(id: u128) -> RowImage {
        unit(id, "fridge", "C", 0, 50)
    }

    fn snapshot(units: Vec<RowImage>) -> Snapshot {
        let mut rows = vec![row("areas", 3, &[("site_id", Value::Uuid(SITE))])];
        rows.extend(units);
        Snapshot {
            etag: "e".into(),
            site_id: SITE,
            organization_id: ORGANIZATION,
            confirm_removal: false,
            rows,
        }
    }

    fn have(count: u128) -> Have {
        let unit = |id| UnitHave { id: Uuid::from_u128(id), scale: Scale::C, temp_min: 0, temp_max: 50 };
        Have { site_id: SITE, organization_id: ORGANIZATION, units: (11..11 + count).map(unit).collect() }
    }

    /// `want`: "" for taken, else part of the reason.
    #[track_caller]
    fn check_says(snapshot: &Snapshot, have: &Have, want: &str) {
        match check(snapshot, have) {
            Ok(()) => assert_eq!(want, "", "it was taken"),
            Err(reason) => assert!(!want.is_empty() && reason.contains(want), "{reason:?} is not {want:?}"),
        }
    }

    #[test]
    fn limits_must_be_those_of_a_cold_room() {
        for (unit_type, scale, min, max, want) in [
            ("fridge", "C", 0, 50, ""),
            ("fridge", "F", 330, 410, ""),
            // Whole degrees where tenths are meant, and the reverse.
            ("fridge", "F", 33, 41, ""),
            ("freezer", "F", -10, 0, ""),
            ("fridge", "C", 330, 410, "33.0 to 41.0 °C: limits outside"),
            ("fridge", "F", 3_300, 4_100, "outside -60..+25"),
            ("fridge", "C", 50, 50, "not above"),
            ("fridge", "C", 50, 0, "not above"),
            ("fridge", "C", 0, 150, ""),
            ("fridge", "C", 0, 151, "0.0 to 15.1 °C: too warm for a fridge"),
            ("walk_in_cooler", "C", 0, 151, "too warm"),
            ("display_case", "C", 0, 151, "too warm"),
            ("blast_chiller", "C", -400, 250, ""),
            ("blast_chiller", "C", -400, 251, "outside"),
            ("blast_chiller", "C", -601, 0, "outside"),
            ("freezer", "C", -250, 0, ""),
            ("freezer", "C", -250, 1, "too warm for a freezer"),
            ("walk_in_freezer", "F", -130, 320, ""),
            ("walk_in_freezer", "F", -130, 321, "too warm"),
            ("oven", "C", 0, 50, "its type is not known"),
            ("fridge", "K", 0, 50, "neither F nor C"),
            ("fridge", "C", i64::MIN, i64::MAX, "outside"),
        ] {
            check_says(&snapshot(vec![unit(11, unit_type, scale, min, max)]), &have(0), want);
        }
    }

    #[test]
    fn a_changed_scale_must_bring_its_limits() {
        for (scale, min, max, want) in [
            ("F", 320, 410, ""),
            ("F", 330, 400, ""),
            ("F", 0, 50, "its scale changed to °F"),
            ("F", 500, 510, "changed"),
        ] {
            check_says(&snapshot(vec![unit(11, "fridge", scale, min, max)]), &have(1), want);
        }
    }

    #[test]
    fn many_units_do_not_go_at_once_unless_confirmed() {
        for (had, kept, want) in [
            (3, 2, ""),
            (3, 1, "2 of 3 units"),
            (4, 3, ""),
            (4, 2, "2 of 4"),
            (1, 0, "no active unit"),
            (0, 0, "no active unit"),
            (0, 1, ""),
        ] {
            let units: Vec<RowImage> = (11..11 + kept).map(fridge).collect();
            check_says(&snapshot(units.clone()), &have(had), want);
            let off = units.into_iter().chain((11 + kept..11 + had).map(|id| inactive(fridge(id)))).collect();
            check_says(&snapshot(off), &have(had), want);
        }
        let confirmed = Snapshot { confirm_removal: true, ..snapshot(vec![fridge(11)]) };
        check_says(&confirmed, &have(9), "");
    }

    #[test]
    fn another_site_is_not_taken() {
        let foreign = Uuid::from_u128(99);
        check_says(&Snapshot { site_id: foreign, ..snapshot(vec![fridge(11)]) }, &have(1), "another site");
        check_says(
            &Snapshot { organization_id: foreign, ..snapshot(vec![fridge(11)]) },
            &have(1),
            "another site",
        );
        let mut stray = snapshot(vec![fridge(11)]);
        stray.rows[0].columns[0].1 = Value::Uuid(foreign);
        check_says(&stray, &have(1), "of areas belongs elsewhere");
        let mut stray = snapshot(vec![fridge(11)]);
        stray.rows[1].columns[0].1 = Value::Uuid(foreign);
        check_says(&stray, &have(1), "of units belongs elsewhere");
    }

    #[test]
    fn values_must_have_their_types_and_unit_rules_their_limits() {
        let mut wrong = snapshot(vec![fridge(11)]);
        wrong.rows[1].columns[4].1 = Value::Text("0".into());
        check_says(&wrong, &have(0), "units.temp_min of row");
        let rule = |max| {
            let owner = ("organization_id", Value::Uuid(ORGANIZATION));
            let unit = ("unit_id", Value::Uuid(Uuid::from_u128(11)));
            row(
                "alert_rules",
                50,
                &[owner, unit, ("name", Value::Text("R".into())), ("temp_max", Value::Int(max))],
            )
        };
        for (max, want) in [(80, ""), (800, "rule \"R\""), (-1, "not above")] {
            check_says(&snapshot(vec![fridge(11), rule(max)]), &have(0), want);
        }
    }

    #[test]
    fn five_reasons_are_enough() {
        let units = (11..30).map(|id| unit(id, "fridge", "C", 50, 0)).collect();
        check_says(&snapshot(units), &have(0), "and 14 more");
    }
}
