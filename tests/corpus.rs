//! Every input of the fuzz corpus, as plain tests: what once broke a parser, and what reaches far into one.

#[path = "../fuzz/bodies/lib.rs"]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bodies::BODIES;

/// Its body is private to the library, and its corpus is run by the library's own tests.
const ELSEWHERE: &str = "modem";

#[test]
fn every_input_holds() {
    for (name, body) in BODIES {
        for file in files(&fuzz().join("corpus").join(name)) {
            // Shown when the body panics.
            println!("{}", file.display());
            body(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_body_and_a_corpus() {
    let targets = names(&fuzz().join("fuzz_targets"));
    let bodies = BODIES.iter().map(|(name, _)| *name).chain([ELSEWHERE]).map(str::to_owned).collect();
    assert_eq!(targets, bodies);
    assert_eq!(names(&fuzz().join("corpus")), bodies);
    for name in &bodies {
        assert!(!files(&fuzz().join("corpus").join(name)).is_empty(), "{name} has no corpus");
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Without endings.
fn names(folder: &Path) -> BTreeSet<String> {
    files(folder)
        .iter()
        .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
        .collect()
}

/// In order, so that a failure is the same everywhere.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
