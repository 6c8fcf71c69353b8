//! Rebuilds when a migration file is added: the embedding macro alone does not see new files.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/postgres");
}
