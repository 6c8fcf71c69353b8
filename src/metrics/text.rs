//! Prometheus' text format (exposition format 0.0.4).

use std::fmt::{Display, Write};

/// Series of one family: the hub's own words and configured names are far fewer, and a board must not drown in what
/// somebody sends.
const SERIES_MAX: usize = 256;

/// What a figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the hub restarts.
    Counter,
    Gauge,
    Histogram,
}

/// A page of figures.
#[derive(Default)]
pub struct Page(String);

/// One family: a name, what it means, and its series.
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    series: usize,
}

impl Page {
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        put(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: self, name, series: 0 }
    }

    /// A family of one series without labels.
    pub fn one(&mut self, kind: Kind, name: &'static str, help: &str, value: impl Display) {
        self.family(kind, name, help).series(&[], value);
    }

    /// The same, left out where the value is not known.
    pub fn one_known(&mut self, kind: Kind, name: &'static str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(kind, name, help, value);
        }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub fn series(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// Of a histogram: `_bucket`, `_sum`, `_count`.
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.series += 1;
        if self.series > SERIES_MAX {
            return;
        }
        let out = &mut self.page.0;
        put(out, format_args!("{}{suffix}", self.name));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            put(out, format_args!("{before}{label}=\"{}\"", escaped(text)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        put(out, format_args!("{close} {value}\n"));
    }
}

/// Milliseconds as seconds, exactly.
pub struct Seconds(pub i64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:03}", ms / 1_000, ms % 1_000)
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_prometheus_does() {
        let mut page = Page::default();
        page.one(Kind::Gauge, "a", "An a.", Seconds(-1_050));
        page.one_known(Kind::Gauge, "left_out", "Nobody knows.", None::<u64>);
        page.family(Kind::Counter, "b_total", "Bs.").series(&[("of", "x\"y\\z\n"), ("as", "c")], 7);
        assert_eq!(
            page.into_text(),
            "# HELP a An a.\n# TYPE a gauge\na -1.050\n\
             # HELP b_total Bs.\n# TYPE b_total counter\nb_total{of=\"x\\\"y\\\\z\\n\",as=\"c\"} 7\n"
        );
    }

    #[test]
    fn a_family_is_bounded() {
        let mut page = Page::default();
        let mut family = page.family(Kind::Counter, "a", "As.");
        for number in 0..SERIES_MAX + 5 {
            family.series(&[("of", &number.to_string())], 1);
        }
        assert_eq!(page.into_text().lines().count(), 2 + SERIES_MAX);
    }
}
