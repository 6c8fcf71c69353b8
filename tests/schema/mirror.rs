//! Reads the hub's database: tables, checks, keys and the view, as plain values.

use std::collections::BTreeMap;

use frostguard_hub::store::connection::register_functions;
use rusqlite::Connection;

use crate::facts::{Key, differences};
use crate::support::repository;

/// The mirror's part of a database: everything but the hub's own tables (`hub_`) and the bookkeeping of migrations.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    pub columns: Vec<MirrorColumn>,
    pub keys: Vec<Key>,
    /// Tables that are not STRICT.
    pub lax_tables: Vec<String>,
    /// The columns of `sensor_readings` in order.
    pub view: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct MirrorColumn {
    pub table: String,
    /// From 1.
    pub ordinal: i64,
    pub name: String,
    pub sql_type: String,
    pub is_nullable: bool,
    /// SQL text; empty: none.
    pub default: String,
    /// The expression of the column's CHECK; empty: none.
    pub check: String,
}

/// The SQL of all migrations, in order.
pub fn migrations_text() -> String {
    let folder = repository("migrations/sqlite");
    let number = |name: &str| name.strip_prefix('V')?.split("__").next()?.parse::<u32>().ok();
    let mut files: BTreeMap<u32, String> = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("list the migrations").flatten() {
        let number =
            number(&entry.file_name().to_string_lossy()).expect("a migration is named V<number>__<what>.sql");
        files.insert(number, std::fs::read_to_string(entry.path()).expect("read a migration"));
    }
    files.into_values().collect::<Vec<_>>().join("\n")
}

pub fn built_from(sql: &str) -> Connection {
    let sqlite = Connection::open_in_memory().expect("open SQLite in memory");
    register_functions(&sqlite).expect("register the view's functions");
    sqlite.execute_batch(sql).expect("build the mirror");
    sqlite
}

impl Mirror {
    pub fn read(sqlite: &Connection) -> Self {
        let mut mirror = Self::default();
        let tables = "SELECT l.name, l.strict, s.sql FROM pragma_table_list AS l JOIN sqlite_schema AS s USING (name)
            WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'hub\\_%' ESCAPE '\\'
              AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND l.name <> 'refinery_schema_history' ORDER BY 1";
        for (table, is_strict, sql) in query(sqlite, tables, &[], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, String>(2)?))
        }) {
            if !is_strict {
                mirror.lax_tables.push(table.clone());
            }
            let body = Body::parse(&sql);
            mirror.read_columns(sqlite, &table, &body);
            mirror.read_foreign_keys(sqlite, &table, &body);
            mirror.read_indexes(sqlite, &table);
        }
        mirror.view =
            query(sqlite, "SELECT name FROM pragma_table_info('sensor_readings') ORDER BY cid", &[], |row| {
                row.get(0)
            });
        mirror
    }

    /// One line a difference; `self` is what is expected.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut told = differences(&self.lines(), &found.lines());
        told.extend(found.lax_tables.iter().map(|table| format!("{table} is not STRICT")));
        told
    }

    fn lines(&self) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        for column in &self.columns {
            let null = if column.is_nullable { "NULL" } else { "NOT NULL" };
            let text = format!(
                "no. {} {} {null} default {:?} check {:?}",
                column.ordinal, column.sql_type, column.default, column.check
            );
            lines.insert(format!("column {}.{}", column.table, column.name), text);
        }
        for key in &self.keys {
            lines.insert(format!("key {}", key.name), format!("{key:?}"));
        }
        for (index, name) in self.view.iter().enumerate() {
            lines.insert(format!("view column sensor_readings.{name}"), format!("no. {}", index + 1));
        }
        lines
    }

    fn read_columns(&mut self, sqlite: &Connection, table: &str, body: &Body) {
        let sql = "SELECT cid + 1, name, type, \"notnull\", coalesce(dflt_value, ''), pk FROM pragma_table_xinfo(?1)";
        let mut primary: Vec<(i64, String)> = Vec::new();
        for (column, pk) in query(sqlite, sql, &[table], |row| {
            let name: String = row.get(1)?;
            let column = MirrorColumn {
                table: table.to_owned(),
                ordinal: row.get(0)?,
                sql_type: row.get(2)?,
                is_nullable: !row.get::<_, bool>(3)?,
                default: row.get(4)?,
                check: body.checks.get(&name).cloned().unwrap_or_default(),
                name,
            };
            Ok((column, row.get::<_, i64>(5)?))
        }) {
            if pk > 0 {
                primary.push((pk, column.name.clone()));
            }
            self.columns.push(column);
        }
        primary.sort();
        let columns = primary.into_iter().map(|(_, name)| name).collect();
        // SQLite has no name for a primary key: central's.
        self.keys.push(key(table, "pk", &format!("{table}_pkey"), columns));
    }

    fn read_foreign_keys(&mut self, sqlite: &Connection, table: &str, body: &Body) {
        let sql = "SELECT id, group_concat(\"from\"), \"table\" || '(' || group_concat(\"to\") || ')', lower(on_delete), on_update
            FROM (SELECT * FROM pragma_foreign_key_list(?1) ORDER BY id, seq) GROUP BY id";
        for (columns, references, on_delete, on_update) in query(sqlite, sql, &[table], |row| {
            Ok((row.get::<_, String>(1)?, row.get(2)?, row.get::<_, String>(3)?, row.get::<_, String>(4)?))
        }) {
            let name = body
                .foreign_keys
                .get(&columns)
                .cloned()
                .unwrap_or_else(|| format!("unnamed fk {table} {columns}"));
            // Enrolment takes central's ids into the mirror by this rule alone.
            let on_delete =
                if on_update == "CASCADE" { on_delete } else { format!("{on_delete}, no update cascade") };
            let columns = columns.split(',').map(str::to_owned).collect();
            self.keys.push(Key { references, on_delete, ..key(table, "fk", &name, columns) });
        }
    }

    fn read_indexes(&mut self, sqlite: &Connection, table: &str) {
        let sql = "SELECT name, \"unique\", partial FROM pragma_index_list(?1) WHERE origin <> 'pk'";
        for (name, is_unique, is_partial) in query(sqlite, sql, &[table], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
        }) {
            let columns =
                "SELECT coalesce(name, 'expression') || iif(desc, ' DESC', '') FROM pragma_index_xinfo(?1)
                WHERE key = 1 ORDER BY seqno";
            let columns = query(sqlite, columns, &[&name], |row| row.get(0));
            let kind = match (is_partial, is_unique) {
                (true, _) => "other",
                (false, true) => "unique",
                (false, false) => "index",
            };
            self.keys.push(key(table, kind, &name, columns));
        }
    }
}

/// What the pragmas do not show: CHECKs and the names of foreign keys, from the table's SQL.
struct Body {
    /// By column.
    checks: BTreeMap<String, String>,
    /// Names by columns.
    foreign_keys: BTreeMap<String, String>,
}

impl Body {
    fn parse(sql: &str) -> Self {
        let mut body = Self { checks: BTreeMap::new(), foreign_keys: BTreeMap::new() };
        let inside = balanced(sql).expect("a table has columns");
        for item in split_at_commas(inside) {
            let words: Vec<&str> = item.split_whitespace().collect();
            match words.as_slice() {
                ["CONSTRAINT", name, "FOREIGN", "KEY", ..] => {
                    let columns = balanced(item).expect("a foreign key has columns").replace(", ", ",");
                    body.foreign_keys.insert(columns, (*name).to_owned());
                }
                ["PRIMARY", ..] | [] => {}
                [column, ..] => {
                    let check =
                        item.split_once("CHECK ").map(|(_, rest)| balanced(rest).expect("a check is closed"));
                    if let Some(check) = check {
                        body.checks.insert(column.trim_matches('"').to_owned(), check.to_owned());
                    }
                }
            }
        }
        body
    }
}

/// What stands between the first parenthesis and the one that closes it.
fn balanced(text: &str) -> Option<&str> {
    let start = text.find('(')? + 1;
    let mut depth = 1;
    for (index, letter) in text[start..].char_indices() {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some(&text[start..start + index]);
        }
    }
    None
}

/// At the commas that stand in no parentheses.
fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (index, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(text[start..].trim());
    items
}

fn key(table: &str, kind: &str, name: &str, columns: Vec<String>) -> Key {
    let (table, kind, name) = (table.to_owned(), kind.to_owned(), name.to_owned());
    Key { table, kind, name, columns, references: String::new(), on_delete: String::new() }
}

pub fn query<T>(
    sqlite: &Connection,
    sql: &str,
    arguments: &[&str],
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = sqlite.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map(rusqlite::params_from_iter(arguments), read).expect("read the catalogue");
    rows.collect::<Result<_, _>>().expect("read a row of the catalogue")
}
