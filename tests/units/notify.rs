//! What the service manager hears of the hub, through a socket as it opens one.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::support::{PATIENCE, Running, Scratch, Signal, hub_program};

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn new(scratch: &Scratch) -> Self {
        let socket = UnixDatagram::bind(scratch.join("notify")).expect("open the manager's socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("wait for a while only");
        Self(socket)
    }

    /// The first line of the next message.
    #[track_caller]
    fn hears(&self) -> String {
        let mut message = [0; 1_024];
        let length = self.0.recv(&mut message).expect("the service tells something");
        let text = String::from_utf8_lossy(&message[..length]);
        text.lines().next().unwrap_or_default().to_owned()
    }
}

#[test]
fn the_hub_tells_that_it_is_up_that_it_lives_and_that_it_stops() {
    let scratch = Scratch::new("notify");
    let manager = Manager::new(&scratch);
    let config = scratch.write(
        "hub.toml",
        &format!(
            "[hub]\nstate_dir = '{}'\n[control]\nsocket = '{}'\n",
            scratch.join("state").display(),
            scratch.join("hub.sock").display()
        ),
    );
    let mut command = Command::new(hub_program());
    command.arg("--config").arg(&config).arg("run");
    command.env("WATCHDOG_USEC", Duration::from_millis(400).as_micros().to_string());
    command.env("NOTIFY_SOCKET", scratch.join("notify")).env_remove("WATCHDOG_PID");
    let mut hub = Running::start("frostguard-hub", &mut command, &scratch.join("log"));
    assert_eq!(manager.hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    hub.signal(Signal::Term);
    let last = std::iter::repeat_with(|| manager.hears()).find(|told| told != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(hub.wait_until_ended().success());
}
