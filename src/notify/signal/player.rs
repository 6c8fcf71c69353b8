use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::line::Line;
use super::pattern::{OFF, Pattern, TEST_MS};

/// A chip that is plugged in again, or a line whose holder has ended, is taken this soon.
const REOPEN: Duration = Duration::from_secs(5);
/// A state that stays is set again this often: an expander on USB or I2C that was reset has forgotten it, and one that is
/// gone is noticed.
const REASSERT: Duration = Duration::from_secs(5);

type Reply = oneshot::Sender<Result<(), String>>;

pub enum Order {
    /// Answered when the line has its first state.
    Play { pattern: Pattern, reply: Reply },
    /// Answered when it is over.
    Test { reply: Reply },
}

/// Plays one pattern after the other on a line that may come and go.
pub struct Player<O> {
    name: String,
    open: O,
    line: Option<Held>,
    /// Why there is no line; shown to whoever asks how the signal is.
    problem: watch::Sender<Option<String>>,
    pattern: Pattern,
    step: usize,
    test: Option<Reply>,
    wake: Instant,
}

/// Plays until nobody can order any more.
pub async fn drive<O: Open>(mut player: Player<O>, mut orders: mpsc::Receiver<Order>) {
    loop {
        tokio::select! {
            // An order is older than the step that comes now.
            biased;
            order = orders.recv() => match order {
                Some(order) => player.obey(order, Instant::now()),
                None => return,
            },
            () = tokio::time::sleep_until(player.wake) => player.advance(Instant::now()),
        }
    }
}

/// Takes the line, or says why not.
pub trait Open: FnMut() -> Result<Box<dyn Line>, String> + Send {}

impl<O: FnMut() -> Result<Box<dyn Line>, String> + Send> Open for O {}

impl<O: Open> Player<O> {
    /// Off, and to be advanced at once.
    pub fn new(name: String, open: O, now: Instant) -> Self {
        Self {
            name,
            open,
            line: None,
            problem: watch::Sender::new(None),
            pattern: OFF,
            step: 0,
            test: None,
            wake: now,
        }
    }

    /// Why there is no line, now and from now on.
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Play { pattern, reply } => {
                // The same one goes on unbroken.
                if pattern != self.pattern || self.line.is_none() {
                    // What is new does not wait for a test.
                    self.end_test();
                    (self.pattern, self.step, self.wake) = (pattern, 0, now);
                    self.enter(now);
                }
                answer(reply, self.outcome());
            }
            Order::Test { reply } => {
                self.end_test();
                self.wake = now + Duration::from_millis(TEST_MS);
                if self.set(true, now) {
                    self.test = Some(reply);
                } else {
                    answer(reply, self.outcome());
                }
            }
        }
    }

    /// Does what was due at `wake`.
    fn advance(&mut self, now: Instant) {
        if self.test.is_some() {
            self.end_test();
            self.step = 0;
        } else if self.line.is_some() {
            self.step = (self.step + 1) % self.pattern.len();
        }
        self.enter(now);
    }

    /// Sets the line to the present step, which lasts from when it was due, so that a pattern keeps its beat; from now
    /// where it would be over already.
    fn enter(&mut self, now: Instant) {
        let step = self.pattern[self.step];
        let lasts = step.ms.map_or(REASSERT, Duration::from_millis);
        let end = self.wake + lasts;
        self.wake = if end > now { end } else { now + lasts };
        self.set(step.is_on, now);
    }

    /// Switches the line, taking it first if need be; false, and to be tried again later, if that fails.
    fn set(&mut self, is_on: bool, now: Instant) -> bool {
        let done = match &mut self.line {
            Some(line) => line.0.set(is_on).map_err(|error| format!("switch the line: {error}")),
            None => self.take(is_on),
        };
        match done {
            Ok(()) => {
                if self.problem.send_replace(None).is_some() {
                    info!(signal.name = %self.name, "signal {} works again", self.name);
                }
                true
            }
            Err(problem) => {
                self.line = None;
                self.wake = now + REOPEN;
                if self.problem.borrow().as_ref() != Some(&problem) {
                    warn!(signal.name = %self.name, error = %problem, "signal {} is dead: {problem}", self.name);
                }
                self.problem.send_replace(Some(problem));
                false
            }
        }
    }

    fn take(&mut self, is_on: bool) -> Result<(), String> {
        let mut line = Held((self.open)()?);
        line.0.set(is_on).map_err(|error| format!("switch the line: {error}"))?;
        self.line = Some(line);
        Ok(())
    }

    fn outcome(&self) -> Result<(), String> {
        self.problem.borrow().clone().map_or(Ok(()), Err)
    }

    fn end_test(&mut self) {
        if let Some(reply) = self.test.take() {
            answer(reply, self.outcome());
        }
    }
}

/// Who asked may have given up.
fn answer(reply: Reply, outcome: Result<(), String>) {
    let _ = reply.send(outcome);
}

/// A line that is switched off before it is let go: the kernel leaves it as it was.
struct Held(Box<dyn Line>);

impl Drop for Held {
    fn drop(&mut self) {
        // A chip that is gone has nothing to switch off.
        let _ = self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::super::pattern;
    use super::*;
    use crate::config::SignalRole;
    use crate::domain::Severity;
    use crate::notify::Board;

    /// What lines were told; they may be told to fail.
    #[derive(Clone, Default)]
    struct Recorder {
        told: Arc<Mutex<Vec<bool>>>,
        is_broken: Arc<Mutex<bool>>,
    }

    impl Line for Recorder {
        fn set(&mut self, is_on: bool) -> io::Result<()> {
            if *self.is_broken.lock().unwrap() {
                return Err(io::Error::other("no such device"));
            }
            self.told.lock().unwrap().push(is_on);
            Ok(())
        }
    }

    /// A player and its time, ms since the start.
    struct Bench<O> {
        player: Player<O>,
        recorder: Recorder,
        began: Instant,
        ms: u64,
        /// "ms state" of each change since the last look.
        edges: Vec<String>,
        is_on: Option<bool>,
    }

    fn bench() -> Bench<impl Open> {
        let (recorder, began) = (Recorder::default(), Instant::now());
        let line = recorder.clone();
        let open = move || -> Result<Box<dyn Line>, String> {
            if *line.is_broken.lock().unwrap() { Err("no chip".into()) } else { Ok(Box::new(line.clone())) }
        };
        let player = Player::new("buzzer".into(), open, began);
        let mut bench = Bench { player, recorder, began, ms: 0, edges: Vec::new(), is_on: None };
        bench.until(0);
        bench
    }

    impl<O: Open> Bench<O> {
        fn now(&self) -> Instant {
            self.began + Duration::from_millis(self.ms)
        }

        /// Lets the time pass.
        fn until(&mut self, ms: u64) {
            let end = self.began + Duration::from_millis(ms);
            while self.player.wake <= end {
                self.ms = (self.player.wake - self.began).as_millis() as u64;
                self.player.advance(self.now());
                self.note();
            }
            self.ms = ms;
        }

        fn play(&mut self, sound: Option<Severity>) -> Result<(), String> {
            let board = Board { sound, ..Board::default() };
            let (reply, mut answer) = oneshot::channel();
            let pattern = pattern::of(SignalRole::Buzzer, &board);
            self.player.obey(Order::Play { pattern, reply }, self.now());
            self.note();
            answer.try_recv().expect("it is answered with the first edge")
        }

        fn test(&mut self) -> oneshot::Receiver<Result<(), String>> {
            let (reply, answer) = oneshot::channel();
            self.player.obey(Order::Test { reply }, self.now());
            self.note();
            answer
        }

        fn note(&mut self) {
            for is_on in self.recorder.told.lock().unwrap().drain(..) {
                if self.is_on.replace(is_on) != Some(is_on) {
                    self.edges.push(format!("{}{}", self.ms, if is_on { '+' } else { '-' }));
                }
            }
        }

        fn break_down(&self, is_broken: bool) {
            *self.recorder.is_broken.lock().unwrap() = is_broken;
        }

        #[track_caller]
        fn check(&mut self, want: &str) {
            assert_eq!(std::mem::take(&mut self.edges).join(" "), want);
        }
    }

    #[test]
    fn a_pattern_begins_at_once_and_keeps_its_beat() {
        let mut bench = bench();
        bench.play(None).unwrap();
        bench.check("0-");
        bench.until(7_010);
        bench.play(Some(Severity::Critical)).unwrap();
        bench.check("7010+");
        bench.until(8_100);
        bench.check("7510- 8010+");
        // The same again does not begin anew.
        bench.play(Some(Severity::Critical)).unwrap();
        bench.until(8_600);
        bench.check("8510-");
        bench.play(Some(Severity::Warning)).unwrap();
        bench.until(18_700);
        bench.check("8600+ 8750- 8900+ 9050- 18600+");
        bench.play(None).unwrap();
        bench.until(60_000);
        bench.check("18700-");
    }

    #[test]
    fn a_late_step_keeps_the_beat_and_a_sleep_does_not_hurry_it() {
        let mut bench = bench();
        bench.play(Some(Severity::Critical)).unwrap();
        bench.ms = 520;
        bench.player.advance(bench.now());
        assert_eq!((bench.player.wake - bench.began).as_millis(), 1_000);
        bench.ms = 90_000;
        bench.player.advance(bench.now());
        assert_eq!((bench.player.wake - bench.began).as_millis(), 90_500);
    }

    #[test]
    fn a_test_is_heard_and_what_was_shown_goes_on() {
        let mut bench = bench();
        let mut answer = bench.test();
        bench.until(999);
        answer.try_recv().unwrap_err();
        bench.until(1_000);
        answer.try_recv().unwrap().unwrap();
        bench.check("0- 0+ 1000-");
        bench.until(1_010);
        bench.play(Some(Severity::Critical)).unwrap();
        bench.until(1_600);
        let mut answer = bench.test();
        bench.until(1_700);
        // What is new does not wait for it.
        bench.play(None).unwrap();
        answer.try_recv().unwrap().unwrap();
        bench.check("1010+ 1510- 1600+ 1700-");
    }

    #[test]
    fn a_line_that_is_lost_is_taken_again() {
        let mut bench = bench();
        bench.play(Some(Severity::Critical)).unwrap();
        bench.check("0- 0+");
        bench.break_down(true);
        bench.until(600);
        assert_eq!(bench.play(Some(Severity::Critical)), Err("no chip".into()));
        assert_eq!(bench.test().try_recv().unwrap(), Err("no chip".into()));
        bench.break_down(false);
        bench.until(6_300);
        bench.check("6100-");
        bench.break_down(true);
        bench.until(7_000);
        bench.break_down(false);
        // Showing takes it at once.
        bench.play(Some(Severity::Warning)).unwrap();
        bench.check("7000+");
    }

    #[test]
    fn a_steady_state_is_set_again_and_again() {
        let mut bench = bench();
        bench.until(4_000);
        bench.break_down(true);
        bench.until(5_000);
        assert_eq!(bench.player.outcome(), Err("switch the line: no such device".into()));
        bench.break_down(false);
        bench.until(10_000);
        assert_eq!(bench.player.outcome(), Ok(()));
    }

    #[test]
    fn the_load_is_off_when_the_player_is_gone() {
        let mut bench = bench();
        bench.play(Some(Severity::Critical)).unwrap();
        drop(bench.player);
        assert_eq!(bench.recorder.told.lock().unwrap().as_slice(), [false]);
    }
}
