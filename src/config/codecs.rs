//! The user's own codecs: `codecs/NAME.js` with `codecs/NAME.toml` beside it, read once at start.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Config;
use crate::codec::Codecs;
use crate::codec::script::{MANIFEST_BYTES_MAX, SCRIPT_BYTES_MAX, Script};

/// Where an administrator puts codecs besides the state folder.
const SYSTEM_FOLDER: &str = "/etc/frostguard/codecs";
/// A kitchen has a handful of kinds of sensors.
const CODECS_MAX: usize = 64;

impl Config {
    /// The codecs of this hub, and what is wrong with those that are left out. Of two for one model, that in the state
    /// folder counts.
    pub fn codecs(&self) -> (Codecs, Vec<String>) {
        load(&[self.hub.state_dir.join("codecs"), PathBuf::from(SYSTEM_FOLDER)])
    }
}

fn load(folders: &[PathBuf]) -> (Codecs, Vec<String>) {
    let (mut scripts, mut problems): (Vec<Script>, Vec<String>) = (Vec::new(), Vec::new());
    for folder in folders {
        let paths = match script_files(folder) {
            Ok(paths) => paths,
            Err(error) => {
                problems.push(format!("{error:#}"));
                continue;
            }
        };
        for path in paths {
            if scripts.len() >= CODECS_MAX {
                problems.push(format!("{}: a hub holds at most {CODECS_MAX} codecs", path.display()));
                break;
            }
            match read(&path) {
                Ok(script) if scripts.iter().any(|known| known.model().name == script.model().name) => {
                    let model = script.model().name.to_owned();
                    problems.push(format!("{}: there is a codec for {model} already", path.display()));
                }
                Ok(script) => scripts.push(script),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
    }
    (Codecs::with(scripts), problems)
}

/// The scripts of a folder, by name; none where there is no folder.
fn script_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let open = || format!("open codec folder {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(open),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(open)?.path();
        if path.extension().is_some_and(|ending| ending == "js") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Script> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if name.is_empty() {
        bail!("{}: the name is no UTF-8", path.display());
    }
    let source = text(path, SCRIPT_BYTES_MAX)?;
    let manifest = text(&path.with_extension("toml"), MANIFEST_BYTES_MAX).with_context(|| {
        let shown = path.display();
        format!(
            "{shown}: a script needs a TOML beside it; `frostguard-hub decode --script {shown}` proposes one"
        )
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Script::new(name, &source, &manifest).map_err(|reason| anyhow::anyhow!("{}/{reason}", folder.display()))
}

/// Reads an ordinary file of UTF-8 up to a size; a pipe or a device would hold the start up.
pub fn text(path: &Path, bytes_max: u64) -> Result<String> {
    let open = || format!("open {}", path.display());
    if !std::fs::metadata(path).with_context(open)?.is_file() {
        bail!("{} is no ordinary file", path.display());
    }
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text))
        .with_context(open)?;
    if read as u64 > bytes_max {
        bail!("{} is larger than {bytes_max} bytes", path.display());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Model;

    const SCRIPT: &str = "function Decoder(bytes) { return {t: bytes[0]}; }";
    const MANIFEST: &str =
        "ports = [2]\ncheck_in_s = 600\n[[map]]\npath = \"t\"\nquantity = \"temperature\"\nunit = \"C\"\n";

    #[test]
    fn what_cannot_be_used_is_named_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("good.js", SCRIPT);
        write("good.toml", MANIFEST);
        write("lonely.js", SCRIPT);
        write("twin.js", SCRIPT);
        write("twin.toml", &format!("model = \"custom/good\"\n{MANIFEST}"));
        write("huge.js", &" ".repeat(SCRIPT_BYTES_MAX as usize + 1));
        write("huge.toml", MANIFEST);
        write("odd.js", SCRIPT);
        write("odd.toml", "ports = [2]\ncheck_in_s = 600\nprots = 1\nmap = []\n");
        write("notes.txt", "no codec");
        std::fs::create_dir(folder.path().join("folder.js")).unwrap();
        let (codecs, problems) = load(&[folder.path().join("none"), folder.path().to_owned()]);
        let scripts: Vec<_> = codecs.models().filter(Model::is_script).map(|model| model.name).collect();
        assert_eq!(scripts, ["custom/good"]);
        assert_eq!(problems.len(), 5, "{problems:#?}");
        for (problem, want) in problems.iter().zip([
            "folder.js is no ordinary file",
            "huge.js is larger than",
            "a script needs a TOML beside it",
            "/odd.toml line 3: unknown field `prots`",
            "twin.js: there is a codec for custom/good already",
        ]) {
            assert!(problem.contains(want), "{problem} has no {want}");
        }
    }
}
