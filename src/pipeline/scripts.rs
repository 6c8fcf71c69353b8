//! Runs scripts in a process of their own, which is ended when one takes too long. QuickJS asks every 10,000 steps whether
//! the time is over, and steps on megabytes of text are slow ones; and being C it may crash where memory runs out. Neither
//! may happen to what watches the fridges.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Clock;
use crate::codec::script::breaker::{self, Breaker, Change};
use crate::codec::script::{self, Call, Monotonic, ScriptError};
use crate::domain::MonoMs;

/// How long the core waits: some times a script's deadline of 250 ms, for a machine that is busy and a process that must
/// first start. Not longer: a LoRaWAN device that spoke meanwhile listens a second time after 2 s, and is answered then.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// A script's longest result, with every character escaped.
const ANSWER_BYTES_MAX: u64 = 2 << 20;
/// The running program, also after an update put another in its place.
pub const PROGRAM: &str = "/proc/self/exe";

/// Where scripts run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a child process of this program, which is the hub.
    Process(PathBuf),
    /// In this thread: where this program is another than the hub.
    Here,
}

/// Runs scripts, one at a time, and not those that are set aside.
pub struct Scripts {
    place: Place,
    clock: Monotonic,
    breaker: Breaker,
    /// Started with the first script.
    worker: Option<Worker>,
}

impl Scripts {
    pub fn new(place: Place, clock: &Arc<dyn Clock>) -> Self {
        let clock = clock.clone();
        // A script takes as long on a clock that runs faster.
        let clock: Monotonic = Arc::new(move || MonoMs(clock.mono().0 / i64::from(clock.factor().max(1))));
        Self { place, clock, breaker: Breaker::default(), worker: None }
    }

    /// True while the script of this model (lower case) is not run.
    pub fn is_set_aside(&self, model: &str) -> bool {
        self.breaker.pause_left_ms(model, (self.clock)()).is_some()
    }

    /// Runs the script of `model` (lower case).
    pub fn run(&mut self, model: &str, call: &Call<'_>) -> Result<String, ScriptError> {
        let began = (self.clock)();
        if let Some(left_ms) = self.breaker.pause_left_ms(model, began) {
            return Err(ScriptError::SetAside { left_s: (left_ms as u64).div_ceil(1_000) as i64 });
        }
        let answer = self.run_now(call);
        let now = (self.clock)();
        let change = match &answer {
            Err(error) if breaker::holds_up(error, now.0 - began.0) => self.breaker.failed(model, now),
            // Says nothing about the script.
            Err(ScriptError::NotRun(_)) => None,
            _ => self.breaker.ended_in_time(model),
        };
        match change {
            Some(Change::SetAside { pause_ms }) => tracing::warn!(
                codec.model = model,
                pause.ms = pause_ms,
                "set script {model} aside for {} s: it looped or crashed; its frames are kept for `redecode`",
                pause_ms / 1_000
            ),
            Some(Change::Back) => tracing::info!(codec.model = model, "script {model} is run again"),
            None => {}
        }
        answer
    }

    fn run_now(&mut self, call: &Call<'_>) -> Result<String, ScriptError> {
        let program = match &self.place {
            Place::Here => return script::run(call, &self.clock),
            Place::Process(program) => program.clone(),
        };
        let kept = self.worker.take();
        let is_new = kept.is_none();
        let answer = self.ask(kept, &program, call);
        // One that ran before may have ended meanwhile, or by what another script left in it: not this one's doing.
        if !is_new && answer == Err(ScriptError::Crashed) { self.ask(None, &program, call) } else { answer }
    }

    fn ask(&mut self, kept: Option<Worker>, program: &Path, call: &Call<'_>) -> Result<String, ScriptError> {
        let worker = kept.map_or_else(|| Worker::start(program), Ok);
        let worker = worker.map_err(|error| ScriptError::NotRun(format!("{error:#}")))?;
        let answer = worker.ask(call);
        // One that crashed or was too slow is ended by being dropped; the next script gets a new one.
        if !matches!(answer, Err(ScriptError::Crashed | ScriptError::Deadline { .. })) {
            self.worker = Some(worker);
        }
        answer
    }
}

struct Worker {
    child: Child,
    calls: SyncSender<Vec<u8>>,
    answers: Receiver<Vec<u8>>,
}

impl Worker {
    fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("script-worker")
            // Nothing of the hub's: no credentials, no configuration, no logs.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {} for scripts", program.display()))?;
        let (mut input, output) =
            child.stdin.take().zip(child.stdout.take()).expect("both were asked for as pipes");
        // One call and one answer at a time.
        let (calls, asked) = sync_channel::<Vec<u8>>(1);
        let (found, answers) = sync_channel(1);
        // Writing too: a process that does not read would hold the core up as well as one that does not answer.
        let talk = move || {
            let mut output = BufReader::new(output);
            for call in asked {
                let mut line = Vec::new();
                let got = input
                    .write_all(&call)
                    .and_then(|()| (&mut output).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line));
                // Ends with the process, or with whoever waits for it.
                if !line.ends_with(b"\n") || got.is_err() || found.send(line).is_err() {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("scripts".into()).spawn(talk);
        let worker = Self { child, calls, answers };
        started.context("start the thread that speaks with scripts")?;
        Ok(worker)
    }

    fn ask(&self, call: &Call<'_>) -> Result<String, ScriptError> {
        let mut line = serde_json::to_vec(call).map_err(|error| ScriptError::NotRun(error.to_string()))?;
        line.push(b'\n');
        if self.calls.send(line).is_err() {
            return Err(ScriptError::Crashed);
        }
        match self.answers.recv_timeout(WAIT_MAX) {
            Ok(answer) => serde_json::from_slice(&answer).unwrap_or_else(|error| {
                Err(ScriptError::Result(format!("its process gave no answer: {error}")))
            }),
            Err(RecvTimeoutError::Timeout) => Err(ScriptError::Deadline { ms: WAIT_MAX.as_millis() as u32 }),
            Err(RecvTimeoutError::Disconnected) => Err(ScriptError::Crashed),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end, but still its status to fetch.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
