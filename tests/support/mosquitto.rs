//! A private MQTT broker that keeps its sessions over a restart.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::process::{Running, Scratch, Signal};
use super::programs::mosquitto_program;
use super::{cluster, free_port};

pub struct Mosquitto {
    // Before the directory: fields drop in order.
    process: Option<Running>,
    scratch: Scratch,
    port: u16,
}

impl Mosquitto {
    /// Takes anyone on a free port of 127.0.0.1.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with("allow_anonymous true\n")
    }

    /// `settings`: further lines of its configuration (files they name must exist).
    #[track_caller]
    pub fn start_with(settings: &str) -> Self {
        let scratch = Scratch::new("mqtt");
        let port = free_port();
        let store = scratch.join("store");
        fs::create_dir(&store).expect("make the broker's directory");
        // As root it would become a user that cannot reach the directory. Queues without a bound: what QoS 1 promised is
        // kept for a hub that is away.
        let user = if cluster::is_root() { "user root\n" } else { "" };
        let text = format!(
            "listener {port} 127.0.0.1\n{user}persistence true\npersistence_location {}/\nautosave_interval 1\n\
             max_queued_messages 0\nlog_dest stderr\n{settings}",
            store.display()
        );
        scratch.write("mosquitto.conf", &text);
        let mut broker = Self { process: None, scratch, port };
        broker.restart();
        broker
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it in order: it writes its sessions and queues first.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::Term);
        }
    }

    /// Ends it as a power cut does: what it had not written is lost.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::Kill);
        }
    }

    /// Waits until its sessions and queues stand on disk as they are now.
    #[track_caller]
    pub fn wait_until_saved(&mut self) {
        let file = self.scratch.join("store/mosquitto.db");
        let version = || fs::metadata(&file).ok().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
        let process = self.process.as_mut().expect("the broker runs");
        // The first may have been begun before.
        for _ in 0..2 {
            let before = version();
            process.wait_until("the broker to save", || (version() != before).then_some(()));
        }
    }

    /// Starts it on the same port, with the sessions it had.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(mosquitto_program());
        command.arg("-c").arg(self.scratch.join("mosquitto.conf"));
        let mut process = Running::start("mosquitto", &mut command, &self.scratch.join("log"));
        let port = self.port;
        process.wait_until("the broker to listen", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        self.process = Some(process);
    }
}
