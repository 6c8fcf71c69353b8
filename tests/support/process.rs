//! A process that a test started, its log, and the directory it lives in.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::{cluster, deadline, now, wait_for};

/// Lines of a log shown when a test fails: the end says why, the rest is noise.
const LOG_LINES_SHOWN: usize = 60;

/// A temporary directory, removed when dropped.
pub struct Scratch(TempDir);

impl Scratch {
    /// Short names: the path of a Unix socket ends at 107 bytes.
    pub fn new(name: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir()
            .expect("make a temporary directory");
        // A server that refuses root runs as another user and must reach its files.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))
            .expect("open the temporary directory");
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).expect("write a file of the test");
        path
    }
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Int,
    Quit,
    Kill,
}

/// A child process; killed when dropped, its log printed if the test is failing.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its output going to `log` (appended, so that restarts keep the earlier story).
    #[track_caller]
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let out = append_to(log);
        Self::start_with(name, command.stdin(Stdio::null()).stdout(out), log)
    }

    /// The same with an input and output of the caller's; errors go to `log`.
    #[track_caller]
    pub fn start_with(name: &str, command: &mut Command, log: &Path) -> Self {
        let child = command
            .stderr(append_to(log))
            .spawn()
            .unwrap_or_else(|error| panic!("start {name} ({command:?}): {error}"));
        register(child.id());
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs; one that ended is reaped.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look after a child process").is_none()
    }

    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Looks until `look` gives a value; panics with the end of the log when the process ended first.
    #[track_caller]
    pub fn wait_until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = deadline();
        loop {
            if let Some(value) = look() {
                return value;
            }
            assert!(self.is_running(), "{} ended before {what}:\n{}", self.name, self.log_end());
            assert!(now() < end, "{}: waited in vain for {what}:\n{}", self.name, self.log_end());
            std::thread::sleep(super::LOOK_EVERY);
        }
    }

    /// Sends a signal and returns at once.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            cluster::signal(self.child.id(), signal.name());
        }
    }

    /// Sends a signal and waits for the end.
    #[track_caller]
    pub fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait_until_ended()
    }

    #[track_caller]
    pub fn wait_until_ended(&mut self) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let status = wait_for(&what, || self.child.try_wait().expect("look after a child process"));
        forget(self.child.id());
        status
    }

    fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // PostgreSQL takes its children along on QUIT, not on KILL.
        if self.is_running() {
            cluster::stop(&mut self.child);
        }
        forget(self.child.id());
        if std::thread::panicking() {
            eprintln!("--- the end of {}'s log\n{}\n---", self.name, self.log_end());
        }
    }
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
        }
    }
}

fn append_to(log: &Path) -> File {
    File::options().create(true).append(true).open(log).expect("open the log of a process")
}

/// Tells `tests/run` of the process, so that it can end it if the test is cut short: a file named by its id that holds its
/// start time.
fn register(pid: u32) {
    let Some(folder) = std::env::var_os("FROSTGUARD_TEST_PIDS") else { return };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let started =
        stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(19)).unwrap_or_default();
    fs::write(Path::new(&folder).join(pid.to_string()), started).expect("register a process with tests/run");
}

fn forget(pid: u32) {
    if let Some(folder) = std::env::var_os("FROSTGUARD_TEST_PIDS") {
        let _ = fs::remove_file(Path::new(&folder).join(pid.to_string()));
    }
}
