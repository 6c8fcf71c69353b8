use std::fmt;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A password or token is far shorter.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the packaged unit takes credentials from: the file X there is the credential `hub_X`.
const CREDENTIALS: &str = "/etc/frostguard/credentials";
const CREDENTIAL_PREFIX: &str = "hub_";

/// Text that is never shown: `Debug` and `Display` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads the first line of a file: a path, or a bare name in `$CREDENTIALS_DIRECTORY`, where systemd puts
    /// credentials. A file that other users can read is refused.
    pub fn read(path: &Path) -> Result<Self> {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let path = resolve(path, directory.as_deref())?;
        let file = std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        if file.metadata().with_context(|| format!("look at {}", path.display()))?.mode() & 0o007 != 0 {
            bail!("{} holds a secret that every user can read; `chmod o= {0}` first", path.display());
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .with_context(|| format!("read {}", path.display()))?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Self(line.to_owned())),
            _ => bail!("{} is empty; its first line is the secret", path.display()),
        }
    }

    /// Why the secret could not be read, as far as it can be told from here: outside the service a credential is not
    /// there, and the file that the unit makes it of is looked for.
    pub fn problem(path: &Path) -> Option<String> {
        let is_service = std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
        match credential_file(path, Path::new(CREDENTIALS)).filter(|_| !is_service) {
            Some(file) => missing(&file, std::fs::metadata(&file).map(drop)),
            None => Self::read(path).err().map(|error| format!("{error:#}")),
        }
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The file of the packaged unit that becomes the credential; None: the path is none, or one of another unit.
fn credential_file(path: &Path, folder: &Path) -> Option<PathBuf> {
    let name = path.to_str().filter(|_| is_bare(path))?.strip_prefix(CREDENTIAL_PREFIX)?;
    (!name.is_empty()).then(|| folder.join(name))
}

fn missing(file: &Path, looked: std::io::Result<()>) -> Option<String> {
    match looked {
        Ok(()) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("there is no {}", file.display())),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Some(format!("only root sees whether there is {}: run this with sudo", file.display()))
        }
        Err(error) => Some(format!("look at {}: {error}", file.display())),
    }
}

fn is_bare(path: &Path) -> bool {
    let mut components = path.components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}

/// Where the secret's file is; a bare name is a credential.
fn resolve(path: &Path, credentials: Option<&Path>) -> Result<PathBuf> {
    match (is_bare(path), credentials) {
        (true, Some(directory)) => Ok(directory.join(path)),
        (true, None) => bail!(
            "{} is the name of a credential, but $CREDENTIALS_DIRECTORY is not set; \
             give an absolute path or LoadCredential= in the unit",
            path.display()
        ),
        (false, _) => Ok(path.to_owned()),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn comes_from_a_private_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, mode, want) in [
            ("hunter2\n", 0o600, Ok("hunter2")),
            ("hunter2", 0o440, Ok("hunter2")),
            ("hunter2\n", 0o644, Err("chmod o=")),
            ("\n", 0o600, Err("is empty")),
        ] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            match (Secret::read(&path), want) {
                (Ok(secret), Ok(want)) => {
                    assert_eq!(secret.reveal(), want);
                    assert!(!format!("{secret:?} {secret}").contains(want));
                }
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (got, want) => panic!("{got:?} where {want:?}"),
            }
        }
        let credentials = Path::new("/run/credentials/hub");
        assert_eq!(resolve(Path::new("mqtt"), Some(credentials)).unwrap(), credentials.join("mqtt"));
        assert_eq!(resolve(Path::new("/etc/x"), Some(credentials)).unwrap(), Path::new("/etc/x"));
        assert!(resolve(Path::new("mqtt"), None).unwrap_err().to_string().contains("LoadCredential"));
    }

    #[test]
    fn a_credential_is_looked_for_where_the_unit_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("smtp");
        std::fs::write(&there, "hunter2").unwrap();
        for (name, want) in [
            ("hub_smtp", Some(there.clone())),
            ("hub_", None),
            ("smtp", None),
            ("/etc/hub_smtp", None),
            ("sub/hub_smtp", None),
        ] {
            assert_eq!(credential_file(Path::new(name), folder.path()), want, "{name}");
        }
        let look = |file: &Path| missing(file, std::fs::metadata(file).map(drop));
        assert_eq!(look(&there), None);
        let typo = folder.path().join("stmp");
        assert_eq!(look(&typo), Some(format!("there is no {}", typo.display())));
        let denied = missing(&there, Err(ErrorKind::PermissionDenied.into())).unwrap();
        assert!(denied.starts_with("only root sees"), "{denied}");
    }
}
