//! Paths into a script's result: `TempC_DS`, `probes[1].temperature`, `["a key.with dots"]`, `log[].temp` for every element
//! of a list.

use serde_json::Value;

/// Deeper than any codec nests.
const STEPS_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// Every element of a list; at most once in a path.
    Each,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// A value that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    pub value: &'a Value,
    /// The element of the list that the path goes through.
    pub element: Option<&'a Value>,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail =
            || format!("path {text:?} cannot be read; write it like TempC_DS, probes[1].temp or log[].temp");
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix("[\"") {
                let (key, after) = inside.split_once("\"]").ok_or_else(fail)?;
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('[') {
                let (index, after) = inside.split_once(']').ok_or_else(fail)?;
                let step = if index.is_empty() { Ok(Step::Each) } else { index.parse().map(Step::Index) };
                steps.push(step.map_err(|_| fail())?);
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    return Err(fail());
                }
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            }
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() || after.starts_with('[') {
                    return Err(fail());
                }
                rest = after;
            }
        }
        let each = steps.iter().filter(|step| **step == Step::Each).count();
        if steps.is_empty() || steps.len() > STEPS_MAX || each > 1 {
            return Err(fail());
        }
        Ok(Self(steps))
    }

    pub fn goes_through_a_list(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// Every value that the path leads to, at most `max`; what is not there or null is left out.
    pub fn find<'a>(&self, root: &'a Value, max: usize) -> Vec<Found<'a>> {
        let each = self.0.iter().position(|step| *step == Step::Each);
        let found = match each {
            None => vec![Found { value: follow(root, &self.0), element: None }],
            Some(at) => follow(root, &self.0[..at])
                .as_array()
                .into_iter()
                .flatten()
                .take(max)
                .map(|element| Found { value: follow(element, &self.0[at + 1..]), element: Some(element) })
                .collect(),
        };
        found.into_iter().filter(|found| !found.value.is_null()).collect()
    }
}

fn follow<'a>(root: &'a Value, steps: &[Step]) -> &'a Value {
    steps.iter().fold(root, |value, step| match step {
        Step::Key(key) => value.get(key).unwrap_or(&Value::Null),
        Step::Index(index) => value.get(index).unwrap_or(&Value::Null),
        Step::Each => &Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, want: Option<&[Value]>) {
        let root = json!({
            "t": 1, "a.b": 2, "n": null, "probes": [{"t": 3}, {"t": 4}], "rows": [[5, 6], [7]], "deep": {"er": {"x": 8}}
        });
        let got = Path::parse(path).ok().map(|path| {
            path.find(&root, 10).into_iter().map(|found| found.value.clone()).collect::<Vec<_>>()
        });
        assert_eq!(got.as_deref(), want, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check("t", Some(&[json!(1)]));
        check(" t ", Some(&[json!(1)]));
        check("[\"a.b\"]", Some(&[json!(2)]));
        check("deep.er.x", Some(&[json!(8)]));
        check("deep[\"er\"].x", Some(&[json!(8)]));
        check("probes[1].t", Some(&[json!(4)]));
        check("probes[2].t", Some(&[]));
        check("probes[].t", Some(&[json!(3), json!(4)]));
        check("rows[][0]", Some(&[json!(5), json!(7)]));
        check("rows[0][1]", Some(&[json!(6)]));
        check("t[].x", Some(&[]));
        check("n", Some(&[]));
        check("t.x.y", Some(&[]));
        for wrong in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a[].b[]", "a.[0]", "[\"a"] {
            check(wrong, None);
        }
        check(&"a.".repeat(20), None);
    }
}
