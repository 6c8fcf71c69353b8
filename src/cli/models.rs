//! `devices models`: what the hub can decode.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::decode::{print_json, print_table};
use crate::codec::{Codecs, Model};

/// List the models the hub can decode.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    /// Print a JSON list.
    #[arg(long)]
    pub json: bool,
}

/// Prints the known models as a JSON list or a table.
pub fn run_models(codecs: &Codecs, args: &ModelsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if args.json {
        let models: Vec<Value> = codecs.models().map(|model| model_json(&model)).collect();
        return print_json(&models, out);
    }
    let mut table = vec![["MODEL", "PORTS", "SENDS EVERY", "PROBE", "MEASURES", ""].map(str::to_owned)];
    table.extend(codecs.models().map(|model| {
        let ports: Vec<String> = model.ports.iter().map(u8::to_string).collect();
        [
            model.name.to_owned(),
            if ports.is_empty() { "any".to_owned() } else { ports.join(", ") },
            interval(model.check_in_s),
            model.measuring.to_string(),
            model.quantities.join(", "),
            if model.is_script() { "script".to_owned() } else { String::new() },
        ]
    }));
    print_table(&table, out)
}

fn model_json(model: &Model<'_>) -> Value {
    serde_json::json!({
        "model": model.name,
        "ports": model.ports,
        "check_in_s": model.check_in_s,
        "probe": model.measuring.to_string(),
        "quantities": model.quantities,
        "script": model.is_script(),
    })
}

fn interval(seconds: u32) -> String {
    match seconds {
        s if s.is_multiple_of(3_600) => format!("{} h", s / 3_600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec;

    #[test]
    fn models_are_listed() {
        let list = |json| {
            let mut out = Vec::new();
            run_models(&Codecs::default(), &ModelsArgs { json }, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = list(false);
        assert_eq!(text.lines().count(), 1 + codec::models().len());
        let line = text.lines().find(|line| line.starts_with("dragino/lht65n ")).unwrap();
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(
            cells,
            ["dragino/lht65n", "2, 3, 5", "20 min", "external", "temperature, humidity, battery"]
        );
        let models: Value = serde_json::from_str(&list(true)).unwrap();
        let door = models.as_array().unwrap().iter().find(|model| model["model"] == "dragino/lds02");
        assert_eq!(
            door,
            Some(
                &json!({"model":"dragino/lds02","ports":[10, 7],"check_in_s":86_400,"probe":"internal","quantities":["door","battery"],"script":false})
            )
        );
    }
}
