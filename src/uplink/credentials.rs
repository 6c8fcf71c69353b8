//! The credentials file: the hub's Ed25519 key and the receiver's token, readable by the hub alone, never in the database.
//!
//! A new one is written beside the old one, then the database commits the digest of the new one, then it takes the old
//! one's name: whichever of them the digest names after a power cut is the right one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use frostguard_sync::ids::sha256;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

use crate::config::Secret;

const FILE_NAME: &str = "credentials";
const NEW_FILE_NAME: &str = "credentials.new";
/// Two keys in hex and their names take about 300 bytes.
const FILE_BYTES_MAX: u64 = 4_096;

/// What makes the hub itself to the receiver.
#[derive(Debug)]
pub struct Credentials {
    /// PKCS #8, hex.
    private_key: Secret,
    token: Secret,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u8,
    private_key: String,
    token: String,
}

impl Credentials {
    /// A new key pair, and no token yet.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self> {
        let Ok(pkcs8) = Ed25519KeyPair::generate_pkcs8(random) else { bail!("make a key: no randomness") };
        Ok(Self { private_key: Secret::new(to_hex(pkcs8.as_ref())), token: Secret::new(String::new()) })
    }

    pub fn with_token(self, token: Secret) -> Self {
        Self { token, ..self }
    }

    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Ed25519, 64 hex digits.
    pub fn public_key(&self) -> Result<String> {
        Ok(to_hex(self.key_pair()?.public_key().as_ref()))
    }

    /// The pair that will sign requests.
    pub fn key_pair(&self) -> Result<Ed25519KeyPair> {
        let pkcs8 = from_hex(self.private_key.reveal()).context("the private key is not hex")?;
        Ed25519KeyPair::from_pkcs8(&pkcs8).ok().context("the private key is damaged")
    }

    /// Writes them beside those in force, synced; gives the digest that the database is to commit.
    pub fn write_new(&self, folder: &Path) -> Result<[u8; 32]> {
        let path = folder.join(NEW_FILE_NAME);
        let on_disk = OnDisk {
            version: 1,
            private_key: self.private_key.reveal().to_owned(),
            token: self.token.reveal().to_owned(),
        };
        let bytes = serde_json::to_vec(&on_disk).context("write down the credentials")?;
        let write = || -> io::Result<()> {
            discard(&path)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            sync_folder(folder)
        };
        write().with_context(|| format!("write {}", path.display()))?;
        Ok(sha256(&[&bytes]))
    }
}

/// After the database committed the digest: the new file takes force.
pub fn take_force(folder: &Path) -> Result<()> {
    let rename = || -> io::Result<()> {
        fs::rename(folder.join(NEW_FILE_NAME), folder.join(FILE_NAME))?;
        sync_folder(folder)
    };
    rename().with_context(|| format!("rename {} in {}", NEW_FILE_NAME, folder.display()))
}

/// What an enrolment left that came to nothing.
fn drop_new(folder: &Path) -> Result<()> {
    let path = folder.join(NEW_FILE_NAME);
    discard(&path).with_context(|| format!("delete {}", path.display()))
}

/// The credentials whose digest the database holds; finishes what a power cut interrupted.
pub fn load(folder: &Path, digest: [u8; 32]) -> Result<Credentials> {
    if read(&folder.join(NEW_FILE_NAME))?.is_some_and(|bytes| sha256(&[&bytes]) == digest) {
        take_force(folder)?;
    } else {
        drop_new(folder)?;
    }
    let path = folder.join(FILE_NAME);
    parse(&path, read(&path)?, digest)
}

/// The same without finishing anything, for those who only look.
pub(super) fn look(folder: &Path, digest: [u8; 32]) -> Result<Credentials> {
    let (path, new_path) = (folder.join(FILE_NAME), folder.join(NEW_FILE_NAME));
    match read(&new_path)?.filter(|bytes| sha256(&[bytes]) == digest) {
        Some(bytes) => parse(&new_path, Some(bytes), digest),
        None => parse(&path, read(&path)?, digest),
    }
}

/// Every secret in the file, for those who must know what to hide; none where it cannot be read.
pub fn secrets(folder: &Path) -> Vec<Secret> {
    let files = [FILE_NAME, NEW_FILE_NAME].map(|name| read(&folder.join(name)).ok().flatten());
    let parsed =
        files.into_iter().flatten().filter_map(|bytes| serde_json::from_slice::<OnDisk>(&bytes).ok());
    parsed.flat_map(|on_disk| [on_disk.private_key, on_disk.token]).map(Secret::new).collect()
}

fn parse(path: &Path, bytes: Option<Vec<u8>>, digest: [u8; 32]) -> Result<Credentials> {
    let Some(bytes) = bytes else {
        bail!("{} is missing; enrol the hub again with --replace", path.display());
    };
    if sha256(&[&bytes]) != digest {
        bail!(
            "{} belongs to another enrolment or database; enrol the hub again with --replace",
            path.display()
        );
    }
    let on_disk: OnDisk = serde_json::from_slice(&bytes)
        .map_err(|_| anyhow::anyhow!("{} is damaged; enrol the hub again with --replace", path.display()))?;
    if on_disk.version != 1 {
        bail!("{} was written by a later version of the hub", path.display());
    }
    Ok(Credentials { private_key: Secret::new(on_disk.private_key), token: Secret::new(on_disk.token) })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file: PathBuf = path.to_owned();
    match File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

fn discard(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes();
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::rand::SystemRandom;

    use super::*;

    fn made(token: &str) -> Credentials {
        Credentials::generate(&SystemRandom::new()).unwrap().with_token(Secret::new(token.into()))
    }

    #[test]
    fn come_back_from_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = made("t0ken");
        let digest = credentials.write_new(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(NEW_FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        take_force(folder.path()).unwrap();
        let loaded = load(folder.path(), digest).unwrap();
        assert_eq!(loaded.token().reveal(), "t0ken");
        assert_eq!(loaded.public_key().unwrap(), credentials.public_key().unwrap());
        assert_eq!(loaded.public_key().unwrap().len(), 64);
        assert!(!format!("{loaded:?}").contains("t0ken"));
    }

    #[test]
    fn a_power_cut_leaves_the_pair_the_database_names() {
        let folder = tempfile::tempdir().unwrap();
        let old = made("old").write_new(folder.path()).unwrap();
        take_force(folder.path()).unwrap();
        // Cut before the database committed: the old pair, and the new file goes.
        made("new").write_new(folder.path()).unwrap();
        assert_eq!(load(folder.path(), old).unwrap().token().reveal(), "old");
        assert!(!folder.path().join(NEW_FILE_NAME).exists());
        // Cut between commit and rename: the new pair.
        let new = made("new").write_new(folder.path()).unwrap();
        assert_eq!(load(folder.path(), new).unwrap().token().reveal(), "new");
        assert_eq!(load(folder.path(), new).unwrap().token().reveal(), "new");
        // A database restored from before the enrolment, or another hub's.
        assert!(load(folder.path(), old).unwrap_err().to_string().contains("another enrolment"));
        fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
        assert!(load(folder.path(), new).unwrap_err().to_string().contains("is missing"));
    }

    #[test]
    fn hex_both_ways() {
        assert_eq!(to_hex(&[0, 0xaf, 0x10]), "00af10");
        for (text, want) in [
            ("00AF10", Some(vec![0, 0xaf, 0x10])),
            ("", Some(vec![])),
            ("0", None),
            ("0g", None),
            ("é0", None),
        ] {
            assert_eq!(from_hex(text), want, "{text}");
        }
    }
}
