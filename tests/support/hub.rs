//! A hub process with a state directory and a control socket of its own.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use serde_json::Value;

use super::process::{Running, Scratch, Signal};
use super::programs::{demo_program, hub_program};
use super::{LOOK_EVERY, deadline, now};

pub struct Hub {
    // Before the directory: fields drop in order.
    process: Option<Running>,
    scratch: Scratch,
    config: PathBuf,
    /// What runs the hub: itself, or what puts it somewhere (`unshare`).
    wrapper: Vec<String>,
    program: PathBuf,
}

impl Hub {
    /// `settings`: TOML beside `[hub]` and `[control]`. Does not start it yet.
    pub fn new(settings: &str) -> Self {
        let scratch = Scratch::new("hub");
        let (state, socket) = (scratch.join("state"), scratch.join("hub.sock"));
        // Many hubs run at once, and the usual port is one.
        let metrics = if settings.contains("[metrics]") { "" } else { "[metrics]\nenabled = false\n" };
        let text = format!(
            "[hub]\nstate_dir = '{}'\ntime_zone = \"UTC\"\n[control]\nsocket = '{}'\n{metrics}{settings}",
            state.display(),
            socket.display()
        );
        let config = scratch.write("hub.toml", &text);
        Self { process: None, scratch, config, wrapper: Vec::new(), program: hub_program() }
    }

    /// The build with stand-ins for hardware (a file for a GPIO line).
    pub fn with_stand_ins(self) -> Self {
        Self { program: demo_program(), ..self }
    }

    /// Runs it by another program.
    pub fn within(self, wrapper: &[&str]) -> Self {
        Self { wrapper: wrapper.iter().map(|word| (*word).to_owned()).collect(), ..self }
    }

    /// What its commands talk through.
    pub fn socket(&self) -> PathBuf {
        self.scratch.join("hub.sock")
    }

    /// The folder with the database.
    pub fn state_dir(&self) -> PathBuf {
        self.scratch.join("state")
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.launch();
        self.wait_until_it_listens();
    }

    /// Starts it and returns at once.
    #[track_caller]
    pub fn launch(&mut self) {
        let mut command = match &self.wrapper[..] {
            [] => self.program(),
            [wrapper, arguments @ ..] => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(&self.program).arg("--config").arg(&self.config);
                command
            }
        };
        command.arg("run");
        self.process = Some(Running::start("frostguard-hub", &mut command, &self.scratch.join("log")));
    }

    #[track_caller]
    pub fn wait_until_it_listens(&mut self) {
        // Not by a command: where no hub answers it would take the database itself, and the hub would wait for it.
        let socket = self.socket();
        let process = self.process.as_mut().expect("the hub runs");
        process.wait_until("the hub to listen", || UnixStream::connect(&socket).ok());
    }

    /// Ends it as a power cut does.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.take().expect("the hub runs").stop(Signal::Kill);
    }

    /// Ends it as systemd does.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("the hub runs").stop(Signal::Term)
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.scratch.join("log")).unwrap_or_default()
    }

    /// Runs one command of the hub's command line, which must succeed; gives what it printed.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        self.command_with_input(arguments, "")
    }

    #[track_caller]
    pub fn command_with_input(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_command(arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "frostguard-hub {arguments:?} failed:\n{error}");
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    }

    #[track_caller]
    pub fn try_command(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.program();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the hub's command line");
        // It may not read its input; then the pipe is closed.
        let _ = child.stdin.take().expect("its input is a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("wait for the hub's command line")
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.command(arguments)).expect("the command answers in JSON")
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    /// Looks at the status until `look` gives a value.
    #[track_caller]
    pub fn wait_status<T>(&self, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let end = deadline();
        loop {
            let status = self.status();
            if let Some(value) = look(&status) {
                return value;
            }
            assert!(now() < end, "waited in vain for {what}; the last status:\n{status:#}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The hub's command line with its configuration, for what `command` does not do.
    pub fn command_line(&self) -> Command {
        self.program()
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config);
        command
    }
}
