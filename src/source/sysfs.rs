//! Attributes of the kernel's devices: one value a file, whose reading may take as long as the hardware does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The longest attribute read here: two lines of a 1-Wire sensor, about 75 bytes.
const ATTRIBUTE_BYTES_MAX: u64 = 256;
/// A 1-Wire conversion takes 750 ms, and the kernel lets sensors take turns on their line. What takes longer is stuck in
/// the kernel.
const READ_MAX: Duration = Duration::from_secs(10);

/// Without its line end.
pub fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ATTRIBUTE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

pub fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Runs work that the kernel may hold up, one piece at a time on a thread of its own: a thread that waits for broken
/// hardware cannot be ended, so there is never a second one.
pub struct Aside {
    stuck: Option<JoinHandle<()>>,
    wait_max: Duration,
}

impl Aside {
    pub fn new() -> Self {
        Self { stuck: None, wait_max: READ_MAX }
    }

    /// An error: the work takes longer than it may, or what was begun before still does.
    pub async fn run<T, F>(&mut self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        if let Some(stuck) = &mut self.stuck {
            match timeout(self.wait_max, stuck).await {
                Ok(_) => self.stuck = None,
                Err(_elapsed) => return self.is_stuck(),
            }
        }
        let (give, mut given) = tokio::sync::oneshot::channel();
        let thread = tokio::task::spawn_blocking(move || {
            // Nobody waits for it any more when it was too slow.
            let _ = give.send(work());
        });
        match timeout(self.wait_max, &mut given).await {
            Ok(done) => done.context("read the kernel's devices: the thread ended by a panic"),
            Err(_elapsed) => {
                self.stuck = Some(thread);
                self.is_stuck()
            }
        }
    }

    fn is_stuck<T>(&self) -> Result<T> {
        bail!(
            "the kernel gives no answer within {} s; the driver or its hardware hangs",
            self.wait_max.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_thread_at_a_time_waits_for_broken_hardware() {
        let mut aside = Aside { stuck: None, wait_max: READ_MAX };
        assert_eq!(aside.run(|| 1).await.unwrap(), 1);
        aside.wait_max = Duration::from_millis(20);
        let (answer, awaited) = mpsc::channel::<()>();
        let error = aside.run(move || awaited.recv()).await.unwrap_err();
        assert!(error.to_string().contains("hangs"), "{error}");
        let (begun, begins) = mpsc::channel();
        let late = begun.clone();
        aside.run(move || late.send(())).await.unwrap_err();
        assert!(begins.try_recv().is_err(), "a second thread was begun");
        answer.send(()).unwrap();
        aside.wait_max = READ_MAX;
        aside.run(move || begun.send(())).await.unwrap().unwrap();
        begins.recv().unwrap();
    }

    #[test]
    fn attributes_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("temperature");
        std::fs::write(&path, "x".repeat(5_000)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 256);
        write(&path, "3937\n").unwrap();
        assert_eq!(read(&path).unwrap()[..5], *"3937\n");
        write(&folder.path().join("none"), "").unwrap_err();
    }
}
