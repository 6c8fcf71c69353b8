//! The receiver's configuration: one TOML file, unknown keys refused.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::serve;

/// Read when the configuration names no database. It goes before a configuration that was found and not named.
pub const DATABASE_URL_VARIABLE: &str = "FROSTGUARD_DATABASE_URL";
/// The name of the systemd credential that holds the database URL.
pub const DATABASE_URL_CREDENTIAL: &str = "database_url";
/// Where the unit takes that credential from. It is root's alone, so that `sudo frostguard-receiver hub list` needs no more.
pub const DATABASE_URL_OF_PACKAGE: &str = "/etc/frostguard/credentials-receiver/database_url";
/// The configuration where none is named, if it is there.
pub const CONFIG_OF_PACKAGE: &str = "/etc/frostguard/receiver.toml";

/// Every setting with its default and what it is for; all commented out.
pub const EXAMPLE: &str = include_str!("receiver.example.toml");

/// `frostguard-receiver.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// `postgres://user:password@host/database`; else `database_url_file`, the systemd credential `database_url`,
    /// the variable `FROSTGUARD_DATABASE_URL`, or the file that the unit makes the credential of. Where this configuration
    /// was found and not named, the variable goes before all of them.
    pub database_url: Option<Secret>,
    pub database_url_file: Option<PathBuf>,
    /// PEM file of the authority that signed the database's certificate: with it the connection must be TLS.
    pub database_ca: Option<PathBuf>,
    /// Certificate and key; without them plain HTTP, which is for loopback or behind a proxy.
    pub tls: Option<Tls>,
    /// A proxy in front ends TLS: allows plain HTTP on any address, and takes a caller's address from the last
    /// element of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Connections to PostgreSQL that apply batches; more than about 4 only add latency.
    pub database_connections: usize,
    /// Open connections of hubs; the next one waits in the listen queue.
    pub clients_max: usize,
    /// Nobody named it, it was where the package puts it: then it is no word on which database is meant.
    #[serde(skip)]
    pub is_found: bool,
}

/// PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Database {
    pub url: Secret,
    /// Whom to trust for its certificate; None: no TLS, for a socket, loopback or a private network.
    pub ca: Option<PathBuf>,
}

impl From<&str> for Database {
    fn from(url: &str) -> Self {
        Self { url: Secret::new(url), ca: None }
    }
}

impl From<&String> for Database {
    fn from(url: &String) -> Self {
        Self::from(url.as_str())
    }
}

impl From<&Database> for Database {
    fn from(database: &Database) -> Self {
        database.clone()
    }
}

/// Text that does not show itself in logs.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            database_url: None,
            database_url_file: None,
            database_ca: None,
            tls: None,
            behind_proxy: false,
            database_connections: 4,
            clients_max: 4_096,
            is_found: false,
        }
    }
}

/// What this process was given beside its configuration.
#[derive(Debug, Default)]
struct Given {
    /// `FROSTGUARD_DATABASE_URL`.
    variable: Option<Secret>,
    /// The file of the systemd credential, where there is one.
    credential: Option<PathBuf>,
}

impl Given {
    fn of_environment() -> Self {
        let variable = std::env::var(DATABASE_URL_VARIABLE).ok().filter(|url| !url.is_empty());
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|dir| Path::new(&dir).join(DATABASE_URL_CREDENTIAL))
            .filter(|path| path.exists());
        Self { variable: variable.map(Secret), credential }
    }
}

impl Config {
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("read configuration {}", path.display()))
    }

    /// The configuration at `path` where nobody named one; the defaults where none is there. It may not be readable to all:
    /// the defaults would be another configuration than the one that is meant.
    pub fn find(path: &Path) -> anyhow::Result<Self> {
        Self::found(Self::load(path))
    }

    fn found(loaded: anyhow::Result<Self>) -> anyhow::Result<Self> {
        match loaded {
            Ok(config) => Ok(Self { is_found: true, ..config }),
            Err(error) if is_io(&error, ErrorKind::NotFound) => Ok(Self::default()),
            Err(error) if is_io(&error, ErrorKind::PermissionDenied) => {
                // Plain sudo would leave the variable behind, and with it the database that is meant.
                Err(error.context(format!(
                    "use sudo --preserve-env={DATABASE_URL_VARIABLE}, or name a configuration by --config"
                )))
            }
            Err(error) => Err(error),
        }
    }

    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses what cannot work or would send tokens in the clear.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.tls.is_none() && !self.behind_proxy && !self.listen.ip().is_loopback() {
            bail!(
                "listen on {} without TLS: set [tls] certificate and key, or behind_proxy = true if a proxy ends TLS",
                self.listen
            );
        }
        if !(1..=64).contains(&self.database_connections) {
            bail!("database_connections = {}: give 1 to 64", self.database_connections);
        }
        if !(1..=65_536).contains(&self.clients_max) {
            bail!("clients_max = {}: give 1 to 65536", self.clients_max);
        }
        Ok(())
    }

    /// The same, and what is in the files of `[tls]`. As the receiver's user: another may be able to read more.
    pub fn check_files(&self) -> anyhow::Result<()> {
        self.check()?;
        self.tls.as_ref().map(serve::acceptor).transpose().map(drop)
    }

    /// The database, its URL from wherever it stands; never from an argument.
    pub fn database(&self) -> anyhow::Result<Database> {
        let url = self.database_url(Given::of_environment())?;
        Ok(Database { url, ca: self.database_ca.clone() })
    }

    fn database_url(&self, given: Given) -> anyhow::Result<Secret> {
        let Given { variable, credential } = given;
        // Who sets it on a machine with a receiver means another database than the receiver's.
        if self.is_found
            && let Some(url) = variable
        {
            return Ok(url);
        }
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        if let Some(path) = self.database_url_file.clone().or(credential) {
            return url_in(&path);
        }
        if let Some(url) = variable {
            return Ok(url);
        }
        match url_in(Path::new(DATABASE_URL_OF_PACKAGE)) {
            Err(error) if is_io(&error, ErrorKind::NotFound) => bail!(
                "find the database: put its address into {DATABASE_URL_OF_PACKAGE}, or set database_url or \
                 database_url_file, the credential {DATABASE_URL_CREDENTIAL}, or the variable {DATABASE_URL_VARIABLE}"
            ),
            found => found.context("only root reads it: use sudo, or set database_url_file"),
        }
    }
}

fn url_in(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the database URL from {}", path.display()))?;
    Ok(Secret::new(text.trim()))
}

fn is_io(error: &anyhow::Error, kind: ErrorKind) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_needs_loopback_or_a_named_proxy() {
        for (text, good) in [
            ("", true),
            ("listen = \"127.0.0.1:80\"", true),
            ("listen = \"[::1]:80\"", true),
            ("listen = \"0.0.0.0:80\"", false),
            ("listen = \"0.0.0.0:80\"\nbehind_proxy = true", true),
            ("listen = \"0.0.0.0:80\"\n[tls]\ncertificate = \"a\"\nkey = \"b\"", true),
            ("lisen = \"127.0.0.1:80\"", false),
            ("database_connections = 0", false),
        ] {
            assert_eq!(Config::parse(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn the_example_names_every_setting_with_its_default() {
        let plain = format!("{:?}", Config::parse(EXAMPLE).unwrap());
        assert_eq!(plain, format!("{:?}", Config::default()));
        // A line that is a setting begins with "# name = " or "# [".
        let is_setting = |line: &str| line.starts_with('[') || line.split(' ').nth(1) == Some("=");
        let open: String = EXAMPLE
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|line| is_setting(line)))
            .map(|line| line.to_owned() + "\n")
            .collect();
        let open = Config::parse(&open).unwrap();
        let all = format!("{open:?}");
        assert!(!all.contains("None"), "{all}");
        let Config { listen, behind_proxy, database_connections, clients_max, .. } = Config::default();
        assert_eq!(
            (open.listen, open.behind_proxy, open.database_connections, open.clients_max),
            (listen, behind_proxy, database_connections, clients_max)
        );
    }

    #[test]
    fn a_configuration_that_was_not_named_does_not_choose_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let (file, credential) = (write("url", "of-file\n"), write("database_url", "of-credential\n"));
        let by_file = format!("database_url_file = '{}'", file.display());
        for (text, has_variable, named, found) in [
            ("database_url = 'of-key'", true, "of-key", "of-variable"),
            ("database_url = 'of-key'", false, "of-key", "of-key"),
            (&by_file, true, "of-file", "of-variable"),
            (&by_file, false, "of-file", "of-file"),
            ("", true, "of-credential", "of-variable"),
            ("", false, "of-credential", "of-credential"),
        ] {
            let path = write("receiver.toml", text);
            for (config, want) in [(Config::load(&path), named), (Config::find(&path), found)] {
                let variable = has_variable.then(|| Secret::new("of-variable"));
                let given = Given { variable, credential: Some(credential.clone()) };
                let url = config.unwrap().database_url(given).unwrap();
                assert_eq!(url.expose(), want, "{text} {has_variable}");
            }
        }
        // With neither, the variable is what is left.
        let given = || Given { variable: Some(Secret::new("of-variable")), credential: None };
        assert_eq!(Config::default().database_url(given()).unwrap().expose(), "of-variable");
    }

    #[test]
    fn a_configuration_that_is_found_is_read_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receiver.toml");
        assert!(!Config::find(&path).unwrap().is_found, "the defaults");
        std::fs::write(&path, "clients_max = 7").unwrap();
        let config = Config::find(&path).unwrap();
        assert_eq!((config.clients_max, config.is_found), (7, true));
        std::fs::write(&path, "lisen = 1").unwrap();
        assert!(Config::find(&path).is_err());
        // Not by the file's mode: these tests may be root's.
        let denied = Err(std::io::Error::from(ErrorKind::PermissionDenied)).context("read configuration x");
        let error = format!("{:#}", Config::found(denied).unwrap_err());
        assert!(
            error.contains("use sudo --preserve-env=FROSTGUARD_DATABASE_URL, or name a configuration by --config: read configuration x"),
            "{error}"
        );
    }

    #[test]
    fn the_database_url_does_not_show_itself() {
        let config = Config::parse("database_url = \"postgres://u:hunter2@h/d\"").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
