//! The receiver's configuration: one TOML file, unknown keys refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

/// Read when the configuration names no database.
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
    /// the variable `FROSTGUARD_DATABASE_URL`, or the file that the unit makes the credential of.
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
        }
    }
}

impl Config {
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("read configuration {}", path.display()))
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

    /// The database, its URL from wherever it stands; never from an argument.
    pub fn database(&self) -> anyhow::Result<Database> {
        Ok(Database { url: self.database_url()?, ca: self.database_ca.clone() })
    }

    fn database_url(&self) -> anyhow::Result<Secret> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|dir| Path::new(&dir).join(DATABASE_URL_CREDENTIAL));
        if let Some(path) = self.database_url_file.clone().or_else(|| credential.filter(|path| path.exists()))
        {
            return url_in(&path);
        }
        if let Ok(url) = std::env::var(DATABASE_URL_VARIABLE) {
            return Ok(Secret::new(url));
        }
        match url_in(Path::new(DATABASE_URL_OF_PACKAGE)) {
            Err(error) if is_not_there(&error) => bail!(
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

fn is_not_there(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
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
    fn the_database_url_does_not_show_itself() {
        let config = Config::parse("database_url = \"postgres://u:hunter2@h/d\"").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
