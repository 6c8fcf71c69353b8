//! The targets of cross builds: those of cross.toml are those that the scripts and packages name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What cross documents of its configuration, as far as it is used here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cross {
    build: Build,
    target: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    env: Env,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Env {
    passthrough: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    image: String,
}

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn cross() -> Cross {
    toml::from_str(&read("cross.toml")).expect("cross.toml has the form that cross documents")
}

/// Every target triple of Linux in a text.
fn triples(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter(|word| word.contains("-unknown-linux-") && !word.starts_with('-') && !word.ends_with('-'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_images_are_those_of_one_release_of_cross_for_their_target() {
    let cross = cross();
    let mut releases = BTreeSet::new();
    for (name, target) in &cross.target {
        let (image, release) = target.image.split_once(':').expect("an image has a tag");
        assert_eq!(image, format!("ghcr.io/cross-rs/{name}"));
        releases.insert(release);
    }
    assert_eq!(releases.len(), 1, "{releases:?}");
    assert_eq!(cross.build.env.passthrough, ["SOURCE_DATE_EPOCH"], "what build.rs reads");
    assert!(read("build.rs").contains("SOURCE_DATE_EPOCH"));
}

#[test]
fn what_scripts_and_packages_name_is_what_cross_builds() {
    let known: BTreeSet<String> = cross().target.into_keys().collect();
    assert_eq!(triples(&read("systemd/cross-build")), known);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("look into systemd")
        .map(|entry| entry.expect("look into systemd").path())
        .filter(|path| path.is_file())
        .collect();
    // Packages are described in Cargo.toml.
    files.extend(["Cargo.toml", ".cargo/config.toml", ".ci/run", "README.md"].map(Into::into));
    for file in files {
        let named = triples(&read(&file));
        assert!(named.is_subset(&known), "{} names {named:?}, cross.toml {known:?}", file.display());
    }
}

#[test]
fn the_profiles_that_the_script_and_the_readme_name_are_there() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("Cargo.toml is TOML");
    let dist = &manifest["profile"]["dist"];
    assert_eq!(dist["inherits"].as_str(), Some("release"));
    assert_eq!(manifest["profile"]["ci"]["inherits"].as_str(), Some("release"));
    for file in ["systemd/cross-build", "systemd/package", ".ci/run", "README.md", "cross.toml"] {
        let text = read(file);
        for (at, _) in text.match_indices("--profile ") {
            let name = text[at + "--profile ".len()..].split(|c: char| !c.is_ascii_alphanumeric()).next();
            // The script hands on what it was given.
            let is_known = matches!(name, Some("ci" | "dist" | "release" | ""))
                || text[at..].starts_with("--profile needs");
            assert!(is_known, "{file} names the profile {name:?}");
        }
    }
}

/// Debian's packages of a dependency line, without and with the version they must have.
fn depends(package: &toml::Value) -> BTreeMap<&str, Option<&str>> {
    let line = package["depends"].as_str().expect("the package depends on something");
    line.split(", ")
        .map(|one| one.split_once(' ').map_or((one, None), |(name, version)| (name, Some(version))))
        .collect()
}

#[test]
fn the_package_for_an_older_glibc_differs_in_nothing_else() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("Cargo.toml is TOML");
    let package = &manifest["package"]["metadata"]["deb"];
    let variant = &package["variants"]["bullseye"];
    assert_eq!(variant["name"], manifest["package"]["name"], "the one replaces the other");
    let (mut usual, mut older) = (depends(package), depends(variant));
    let glibc = older.remove("libc6").flatten().expect("the package says which glibc");
    let version = glibc.trim_start_matches("(>= ").trim_end_matches(')');
    assert!(
        read("systemd/package").contains(&format!("\n    {version})\n")),
        "the script makes it for {glibc}"
    );
    assert_eq!(usual.remove("libc6").flatten(), Some("(>= 2.36)"));
    // Part of the program there.
    assert_eq!(usual.remove("libgcc-s1"), Some(None));
    assert_eq!(older, usual);
}
