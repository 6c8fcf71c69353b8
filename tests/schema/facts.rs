//! What a schema holds, as plain values that can be compared: from the fixture files, a catalogue, or by translation.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::repository;

/// Enums, columns and keys of the central schema.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Values in their order.
    pub enums: BTreeMap<String, Vec<String>>,
    pub columns: Vec<Column>,
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub table: String,
    /// From 1.
    pub ordinal: i64,
    pub name: String,
    pub pg_type: String,
    pub is_nullable: bool,
    /// SQL text; empty: none.
    pub default: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub table: String,
    /// `pk`, `fk`, `unique`, `index`.
    pub kind: String,
    pub name: String,
    pub columns: Vec<String>,
    /// `table(columns)` of a foreign key.
    pub references: String,
    /// Of a foreign key, in lower case.
    pub on_delete: String,
}

impl Facts {
    /// The fixture: the central product's own list of its schema.
    pub fn from_files() -> Self {
        let mut facts = Self::default();
        for [name, _position, value] in rows("enums.csv") {
            facts.enums.entry(name).or_default().push(value);
        }
        for [table, ordinal, name, pg_type, nullable, default] in rows("columns.csv") {
            let ordinal = ordinal.parse().expect("an ordinal is a number");
            facts.columns.push(Column {
                table,
                ordinal,
                name,
                pg_type,
                is_nullable: nullable == "YES",
                default,
            });
        }
        for [table, kind, name, columns, references, on_delete] in rows("keys.csv") {
            let columns = columns.split(',').map(str::to_owned).collect();
            facts.keys.push(Key { table, kind, name, columns, references, on_delete });
        }
        facts
    }

    pub fn counts(&self) -> String {
        let tables: BTreeSet<_> = self.columns.iter().map(|column| &column.table).collect();
        let keys = |kind: &str| self.keys.iter().filter(|key| key.kind == kind).count();
        format!(
            "{} tables, {} enums, {} fk, {} unique, {} index",
            tables.len(),
            self.enums.len(),
            keys("fk"),
            keys("unique"),
            keys("index")
        )
    }

    /// One line a difference; `self` is what is expected.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let lines = |facts: &Self| {
            let mut lines = BTreeMap::new();
            for (name, values) in &facts.enums {
                lines.insert(format!("enum {name}"), values.join(", "));
            }
            for column in &facts.columns {
                let null = if column.is_nullable { "NULL" } else { "NOT NULL" };
                let text =
                    format!("no. {} {} {null} default {:?}", column.ordinal, column.pg_type, column.default);
                lines.insert(format!("column {}.{}", column.table, column.name), text);
            }
            for key in &facts.keys {
                lines.insert(format!("key {}", key.name), format!("{key:?}"));
            }
            lines
        };
        differences(&lines(self), &lines(found))
    }
}

/// One line for each name whose text is missing, unexpected or another.
pub fn differences(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) if expected == found => None,
            (Some(expected), Some(found)) => Some(format!("{name}: expected {expected}, found {found}")),
            (Some(expected), None) => Some(format!("{name}: missing, expected {expected}")),
            (None, found) => Some(format!("{name}: unexpected {}", found.expect("it is in one of them"))),
        })
        .collect()
}

/// The rows of a fixture below its header.
fn rows<const N: usize>(name: &str) -> Vec<[String; N]> {
    let path = repository("tests/fixtures/schema").join(name);
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    text.lines()
        .skip(1)
        .map(|line| fields(line).try_into().unwrap_or_else(|row| panic!("{name}: not {N} fields: {row:?}")))
        .collect()
}

/// A line of CSV whose quoted fields hold no quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("there is always one").push(letter),
        }
    }
    fields
}
