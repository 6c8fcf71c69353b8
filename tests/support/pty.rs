//! A serial line without hardware: a pseudo-terminal whose far end has a path that stays the same when it is replugged.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

/// Longer than a reader that lives ever takes; a write to a line nobody reads gives up after it.
const WRITE_MAX: Duration = Duration::from_secs(5);

pub struct Pty {
    link: PathBuf,
    plugged: Option<Plugged>,
}

struct Plugged {
    /// The radio module's end.
    near: TTYPort,
    /// The hub's end, held open too: while nobody holds it, writes to the near end fail.
    _far: TTYPort,
}

impl Pty {
    /// A line whose far end is `link`.
    pub fn new(link: PathBuf) -> Self {
        let mut pty = Self { link, plugged: None };
        pty.plug();
        pty
    }

    /// The path a hub opens.
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// Writes as the module would; an error where the line is unplugged or nobody read it for long.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let plugged = self.plugged.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        plugged.near.write_all(bytes)
    }

    /// The module's end, to read what was written to the far one.
    pub fn near(&mut self) -> &mut impl Read {
        &mut self.plugged.as_mut().expect("the line is plugged").near
    }

    pub fn unplug(&mut self) {
        self.plugged = None;
        let _ = fs::remove_file(&self.link);
    }

    /// A new line under the old path. Also after a hub was killed: it opened its port for itself alone, which outlives it
    /// on the old line since both ends are still held here.
    pub fn plug(&mut self) {
        self.unplug();
        let (mut near, far) = open_pair();
        near.set_timeout(WRITE_MAX).expect("set the timeout of the line");
        symlink(far.name().expect("a pseudo-terminal has a path"), &self.link).expect("link the line's path");
        self.plugged = Some(Plugged { near, _far: far });
    }
}

/// A pseudo-terminal that processes started meanwhile do not inherit: with a copy of it open there, pulling it out here
/// would hang nobody up.
pub fn open_pair() -> (TTYPort, TTYPort) {
    let (near, far) = TTYPort::pair().expect("open a pseudo-terminal");
    for port in [&near, &far] {
        close_on_exec(port);
    }
    (near, far)
}

#[allow(unsafe_code)]
fn close_on_exec(port: &TTYPort) {
    // SAFETY: the descriptor is open as long as the port lives, and setting a flag touches no memory.
    let set = unsafe { libc::fcntl(port.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    assert_eq!(set, 0, "an open descriptor takes the flag");
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.unplug();
    }
}
