use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::facts::{File, Found, Hub, Role};
use super::ports::{hub_groups, may, user_name};
use super::{LIMITS, hub_uid, secret_path};
use crate::config::Config;
use crate::store::DATABASE;

pub async fn look(config: &Config, hub: &Hub, path: Option<&Path>) -> Found<Vec<File>> {
    let files = named(config, path);
    let uid = hub_uid(config);
    let hub_pid = match hub {
        Hub::Running(running) => running.pid,
        _ => 0,
    };
    super::aside(LIMITS.files, move || {
        let user = uid.map(|uid| User { uid, groups: hub_groups(uid, hub_pid), name: user_name(uid) });
        files.into_iter().filter_map(|(role, path)| file(role, &path, user.as_ref()).transpose()).collect()
    })
    .await
}

/// The hub's.
struct User {
    uid: u32,
    groups: BTreeSet<u32>,
    name: String,
}

/// Every file that holds a secret.
pub fn secrets(config: &Config) -> Vec<PathBuf> {
    configured(config).map(secret_path).collect()
}

fn configured(config: &Config) -> impl Iterator<Item = &Path> {
    let mqtt = config.mqtt.iter().filter_map(|section| section.password_file.as_deref());
    let told = config.notify.mqtt.iter().filter_map(|section| section.password_file.as_deref());
    let hooks = config.notify.webhook.iter().map(|section| section.secret_file.as_path());
    let smtp = config.notify.smtp.iter().filter_map(|section| section.password_file.as_deref());
    let pin = config.notify.modem.iter().filter_map(|section| section.pin_file.as_deref());
    let metrics = config.metrics.token_file.as_deref();
    mqtt.chain(told).chain(hooks).chain(smtp).chain(pin).chain(metrics)
}

fn named(config: &Config, path: Option<&Path>) -> Vec<(Role, PathBuf)> {
    let dir = &config.hub.state_dir;
    let own = ["", DATABASE, "credentials", "backup"]
        .map(|name| if name.is_empty() { dir.clone() } else { dir.join(name) });
    // A bare name is a credential of systemd's, which looks after it, by access lists in newer versions.
    let secrets = configured(config).filter(|path| path.is_absolute()).map(Path::to_owned);
    let socket = (Role::Own, config.control_socket());
    let mut files: Vec<(Role, PathBuf)> = own.into_iter().map(|path| (Role::Own, path)).collect();
    files.push(socket);
    files.extend(secrets.map(|path| (Role::Secret, path)));
    files.extend(path.map(|path| (Role::Configuration, path.to_owned())));
    files
}

/// None: a file of the hub's own that is not made yet.
fn file(role: Role, path: &Path, user: Option<&User>) -> Result<Option<File>> {
    let shown = path.display().to_string();
    match fs::metadata(path) {
        Ok(found) => Ok(Some(File {
            path: shown,
            role,
            mode: Some(found.mode()),
            uid: found.uid(),
            hub_uid: user.map_or(found.uid(), |user| user.uid),
            hub_user: user.map(|user| user.name.clone()).unwrap_or_default(),
            is_readable: user.is_none_or(|user| user.uid == 0 || may(&found, user.uid, &user.groups, 0o4)),
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok((role == Role::Secret).then(|| File { path: shown, role, ..File::default() }))
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("look at {shown}"))),
    }
}
