//! Standard output that may close at any time (`frostguard-hub units list | head -1`): that is an end, not a crash.

use std::io::Write;

use anyhow::Result;
use serde_json::Value;

/// Writes one line.
pub fn line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}

/// Writes one line to standard error, where what scripts read is not disturbed.
pub fn warning(text: &str) {
    // It may be closed; there is nobody to tell then.
    let _ = writeln!(std::io::stderr(), "warning: {}", shown(text));
}

/// Writes JSON, indented, for scripts and people.
pub fn json(value: &Value) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Writes rows under a header, columns padded to their widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> Result<()> {
    table_to(&mut std::io::stdout().lock(), header, rows)
}

/// The same, to anywhere.
pub fn table_to(out: &mut impl Write, header: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|i| {
            rows.iter()
                .map(|row| row.get(i).map_or(0, |cell| cell.chars().count()))
                .max()
                .unwrap_or(0)
                .max(header[i].len())
        })
        .collect();
    let pad = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count().min(width + 2)));
        }
        text.trim_end().to_owned()
    };
    writeln!(out, "{}", pad(header.to_vec()))?;
    for row in &rows {
        writeln!(out, "{}", pad(row.iter().map(String::as_str).collect()))?;
    }
    Ok(())
}

/// Text that anybody on the radio could have sent, without what a terminal would obey.
pub fn shown(text: &str) -> String {
    // Control characters, and those that turn the direction of writing.
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|c| {
            let escaped = is_harmful(c).then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// True when the error is that the reader of our output went away.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_sensor_sent() {
        for (text, want) in [
            ("Kühlraum °C 冷", "Kühlraum °C 冷"),
            ("evil\u{1b}[2J", "evil\\u{1b}[2J"),
            ("two\nlines\t", "two\\nlines\\t"),
            ("\u{202e}drow\u{9b}31m", "\\u{202e}drow\\u{9b}31m"),
        ] {
            assert_eq!(shown(text), want);
        }
    }
}
