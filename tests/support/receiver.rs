//! A receiver process before a database, always on the same port, so that a hub finds it again after a restart.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::free_port;
use super::process::{Running, Scratch, Signal};
use super::programs::receiver_program;

pub struct Receiver {
    // Before the directory: fields drop in order.
    process: Option<Running>,
    scratch: Scratch,
    config: PathBuf,
    port: u16,
}

impl Receiver {
    /// Brings the database up to date and serves it.
    #[track_caller]
    pub fn start(database_url: &str) -> Self {
        let scratch = Scratch::new("receiver");
        let port = free_port();
        let text = format!("listen = \"127.0.0.1:{port}\"\ndatabase_url = \"{database_url}\"\n");
        let config = scratch.write("receiver.toml", &text);
        let mut receiver = Self { process: None, scratch, config, port };
        receiver.command(&["migrate"]);
        receiver.restart();
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it without a warning.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::Kill);
        }
    }

    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        let mut command = self.program();
        command.arg("run");
        let mut process = Running::start("frostguard-receiver", &mut command, &self.scratch.join("log"));
        let port = self.port;
        process.wait_until("the receiver to listen", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        self.process = Some(process);
    }

    /// Adds a hub to a site; gives its one-time code.
    #[track_caller]
    pub fn add_hub(&self, site: &str) -> String {
        let arguments =
            ["hub", "add", "--site", site, "--name", "Hub", "--threshold-scale", "tenths", "--json"];
        let added: Value = serde_json::from_str(&self.command(&arguments)).expect("hub add answers in JSON");
        added["code"].as_str().expect("hub add gives a code").to_owned()
    }

    /// Runs one command of the receiver's command line; gives what it printed.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = self.program().args(arguments).output().expect("start the receiver's command line");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "frostguard-receiver {arguments:?} failed:\n{error}");
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    }

    fn program(&self) -> Command {
        let mut command = Command::new(receiver_program());
        command.arg("--config").arg(&self.config);
        command
    }
}
