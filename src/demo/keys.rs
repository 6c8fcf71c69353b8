//! Single keys from a terminal: its line mode is switched off by `stty` and put back when this is dropped.

use std::io::{IsTerminal, Read};
use std::process::{Command, Stdio};

use tokio::sync::mpsc;

/// Keys nobody has looked at yet; a page looks several times a second.
const KEYS_QUEUED_MAX: usize = 16;

pub struct Keys {
    /// What `stty -g` said before.
    before: String,
    pressed: mpsc::Receiver<u8>,
}

impl Keys {
    /// None where standard input is no terminal, or `stty` is missing.
    pub fn listen() -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let before = stty(&["-g"])?;
        stty(&["-icanon", "-echo", "min", "1", "time", "0"])?;
        let (sender, pressed) = mpsc::channel(KEYS_QUEUED_MAX);
        // A thread of its own: a read from a terminal cannot be called off, and must not hold the program's end.
        std::thread::spawn(move || {
            for key in std::io::stdin().lock().bytes() {
                match key {
                    // A full queue: the key is of no use any more.
                    Ok(key) => drop(sender.try_send(key)),
                    Err(_) => return,
                }
            }
        });
        Some(Self { before: before.trim().to_owned(), pressed })
    }

    /// The next key; never returns when the terminal is gone.
    pub async fn next(&mut self) -> u8 {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        stty(&[&self.before]);
    }
}

fn stty(arguments: &[&str]) -> Option<String> {
    let output = Command::new("stty").args(arguments).stdin(Stdio::inherit()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
