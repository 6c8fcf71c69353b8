//! A private PostgreSQL: how its programs are found, started and seen to be ready. Nothing but the standard library, so
//! that the tests start theirs by the same lines.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Debian keeps each version's programs in a folder of its own.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// Looks at 10 ms each for a server to end by itself before it is killed.
const STOP_LOOKS_MAX: u32 = 500;

/// The folder of `initdb` and `postgres`: the one that `PG_BIN` names, else Debian's newest, else one on the PATH.
pub fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&path).find(|folder| has_server(folder));
    named.or_else(newest_of_debian).or_else(on_path).filter(|folder| has_server(folder))
}

/// Makes a cluster in `data`, an empty folder: superuser `postgres`, no password. Durability is off: it lives for a while.
pub fn initdb(programs: &Path, data: &Path) -> io::Result<Command> {
    let mut command = unprivileged(&programs.join("initdb"), data)?;
    command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
    command.arg(data).current_dir("/");
    Ok(command)
}

/// Serves the cluster on a port of 127.0.0.1 and a Unix socket in `data`.
pub fn server(programs: &Path, data: &Path, port: u16) -> io::Result<Command> {
    let mut command = unprivileged(&programs.join("postgres"), data)?;
    command.arg("-D").arg(data).arg("-k").arg(data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    for setting in ["fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=64MB"] {
        command.args(["-c", setting]);
    }
    command.current_dir("/");
    Ok(command)
}

/// Whether the server with process id `pid` takes connections: it says so in the eighth line of its lock file.
pub fn is_ready(data: &Path, pid: u32) -> bool {
    let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let is_own = state.lines().next() == Some(pid.to_string().as_str());
    is_own && state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
}

/// Ends a server at once and waits for it; its data is not needed any more. Killed alone it would leave its shared memory.
pub fn stop(server: &mut Child) {
    signal(server.id(), "QUIT");
    for _ in 0..STOP_LOOKS_MAX {
        if !matches!(server.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Nothing is left to do if even that fails.
    drop(server.kill());
    drop(server.wait());
}

/// Sends a signal to a process that this one started; by the shell's own `kill`, since the system call is unsafe code.
pub fn signal(pid: u32, name: &str) {
    // It may have ended a moment ago: then there is nothing to do.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}

/// `program` as it must be started: PostgreSQL and PgBouncer refuse root, so under root it becomes `postgres` or `nobody`
/// by setpriv, and `owned` is given to that user.
pub fn unprivileged(program: &Path, owned: &Path) -> io::Result<Command> {
    if !is_root() {
        return Ok(Command::new(program));
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let (uid, gid) =
        ["postgres", "nobody"].into_iter().find_map(|name| ids_of(&users, name)).ok_or_else(|| {
            io::Error::other("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
        })?;
    chown(owned, Some(uid), Some(gid))?;
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"))
        .args(["--clear-groups", "--"])
        .arg(program);
    Ok(command)
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn newest_of_debian() -> Option<PathBuf> {
    fs::read_dir(DEBIAN_FOLDER)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_server(folder))
        .max()
        .map(|(_, folder)| folder)
}

fn has_server(folder: &Path) -> bool {
    folder.join("postgres").is_file() && folder.join("initdb").is_file()
}

fn ids_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
