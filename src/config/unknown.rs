//! Errors of the file in terms of the file: the line, and the known key nearest to an unknown one.

/// A key further away than this is another word, not a slip.
const SIMILARITY_MIN: f64 = 0.7;

/// `error` of parsing `text` as a sentence with its line.
pub fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let what = suggest(error.message()).unwrap_or_else(|| error.message().replace('\n', "; "));
    match line {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// serde says "unknown field `x`, expected one of `a`, `b`" (or "variant"); names in backticks, the unknown one first.
fn suggest(message: &str) -> Option<String> {
    let what =
        ["field", "variant"].into_iter().find(|what| message.starts_with(&format!("unknown {what} ")))?;
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), *name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let noun = if what == "field" { "key" } else { "value" };
    Some(match nearest {
        Some((_, name)) => format!("unknown {noun} `{unknown}`; did you mean `{name}`?"),
        None => format!("unknown {noun} `{unknown}`; known here: {}", known.join(", ")),
    })
}
