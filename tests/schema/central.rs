//! Reads the catalogue of a PostgreSQL: what stands in its schema `public`, which is central's own.

use tokio_postgres::GenericClient;

use crate::facts::{Column, Facts, Key};

const COLUMNS: &str = "
    SELECT c.relname::text,
           row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum),
           a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
      AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum";

const ENUMS: &str = "
    SELECT t.typname::text, e.enumlabel::text
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
    WHERE t.typnamespace = 'public'::regnamespace
    ORDER BY t.typname, e.enumsortorder";

const FOREIGN_KEYS: &str = "
    SELECT c.relname::text, k.conname::text,
           (SELECT string_agg(a.attname, ',' ORDER BY n.ord) FROM unnest(k.conkey) WITH ORDINALITY AS n(num, ord)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.num),
           r.relname || '(' ||
           (SELECT string_agg(a.attname, ',' ORDER BY n.ord) FROM unnest(k.confkey) WITH ORDINALITY AS n(num, ord)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.num) || ')',
           CASE k.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default'
                WHEN 'r' THEN 'restrict' ELSE 'no action' END
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_class r ON r.oid = k.confrelid
    WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace";

// An index of a kind the facts do not know has no name there: 'other'.
const INDEXES: &str = "
    SELECT c.relname::text, i.relname::text,
           CASE WHEN x.indisprimary THEN 'pk'
                WHEN x.indpred IS NOT NULL OR x.indexprs IS NOT NULL OR m.amname <> 'btree'
                     OR 0 <> ANY (x.indoption::int2[]) OR x.indnatts <> x.indnkeyatts THEN 'other'
                WHEN x.indisunique THEN 'unique' ELSE 'index' END,
           (SELECT string_agg(pg_get_indexdef(x.indexrelid, n, true), ',' ORDER BY n)
            FROM generate_series(1, x.indnkeyatts::int) AS n)
    FROM pg_index x
    JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_am m ON m.oid = i.relam
    WHERE c.relnamespace = 'public'::regnamespace";

pub async fn read(client: &impl GenericClient) -> Facts {
    let mut facts = Facts::default();
    for row in client.query(ENUMS, &[]).await.expect("read the enums") {
        facts.enums.entry(row.get(0)).or_default().push(row.get(1));
    }
    for row in client.query(COLUMNS, &[]).await.expect("read the columns") {
        facts.columns.push(Column {
            table: row.get(0),
            ordinal: row.get(1),
            name: row.get(2),
            pg_type: row.get(3),
            is_nullable: row.get(4),
            default: row.get(5),
        });
    }
    for row in client.query(FOREIGN_KEYS, &[]).await.expect("read the foreign keys") {
        facts.keys.push(Key {
            table: row.get(0),
            kind: "fk".to_owned(),
            name: row.get(1),
            columns: names(row.get(2)),
            references: row.get(3),
            on_delete: row.get(4),
        });
    }
    for row in client.query(INDEXES, &[]).await.expect("read the indexes") {
        facts.keys.push(Key {
            table: row.get(0),
            kind: row.get(2),
            name: row.get(1),
            columns: names(row.get(3)),
            references: String::new(),
            on_delete: String::new(),
        });
    }
    facts
}

/// PostgreSQL quotes a column that is called as a type is (`"timestamp"`).
fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim_matches('"').to_owned()).collect()
}
