//! The tasks that make people hear: one per channel, the board they show, the button that silences.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{mpsc, oneshot, watch};

use crate::notify::{Board, Channel, DELIVER_MS_MAX, Failure, Message, Notifier, Receipt, Report};
use crate::pipeline::calls::Dispatch;
use crate::pipeline::driver::CoreHandle;
use crate::source;

/// Messages that a person tries a channel with; one at a time.
const TESTS_QUEUED_MAX: usize = 4;
/// Later words of other sides that wait for the core.
pub const REPORTS_QUEUED_MAX: usize = 64;
/// Presses of the button that wait for the core: a person presses once or twice.
pub const PRESSES_QUEUED_MAX: usize = 4;
/// Temperatures on the board are this old at most; alerts are on it at once.
const BOARD_EVERY: Duration = Duration::from_secs(10);
/// A board that could not be shown is tried again.
const SHOW_AGAIN: Duration = Duration::from_secs(5);

/// A person tries a channel.
pub struct Trial {
    pub message: Message,
    pub answer: oneshot::Sender<Result<Receipt, Failure>>,
}

/// How a channel's task is reached.
#[derive(Clone)]
pub struct ChannelHandle {
    pub channel: Channel,
    pub name: String,
    pub trials: mpsc::Sender<Trial>,
}

/// What every channel's task is given.
#[derive(Clone)]
pub struct ChannelContext {
    pub core: CoreHandle,
    /// Changes when something may be due.
    pub wake: watch::Receiver<u64>,
    pub board: watch::Receiver<Arc<Board>>,
    pub shutdown: watch::Receiver<bool>,
}

/// A new channel: its handle, and the end that its task listens on.
pub fn open_channel(channel: Channel, name: &str) -> (ChannelHandle, mpsc::Receiver<Trial>) {
    let (trials, tried) = mpsc::channel(TESTS_QUEUED_MAX);
    (ChannelHandle { channel, name: name.to_owned(), trials }, tried)
}

/// Works off what is due on one channel until the hub stops.
pub async fn drive<N: Notifier>(
    mut notifier: N,
    mut context: ChannelContext,
    mut trials: mpsc::Receiver<Trial>,
) -> Result<()> {
    let channel = notifier.channel();
    let own = notifier.name().to_owned();
    // SMS and e-mail have recipients of their own; others are known by their name.
    let recipient = (!channel.is_central()).then_some(own);
    let mut shown = Ok(());
    context.board.mark_changed();
    loop {
        if context.board.has_changed()? || shown.is_err() {
            let board = context.board.borrow_and_update().clone();
            let is_first_failure = shown.is_ok();
            shown = within(notifier.show(&board)).await;
            if let (Err(failure), true) = (&shown, is_first_failure) {
                tracing::error!("failed to show the alerts by {} {}: {failure}", channel.as_str(), notifier.name());
            }
        }
        let name = recipient.clone();
        let dispatch = context.core.call(move |core| core.next_dispatch(channel, name.as_deref())).await?;
        let wait_ms = match dispatch {
            Dispatch::Send { ids, message } => {
                let delivered = async {
                    // A line that could not be driven has called nobody.
                    shown.clone()?;
                    within(notifier.deliver(&message)).await
                };
                let result = delivered.await;
                match &result {
                    Ok(receipt) => tracing::info!(
                        "told {} by {}: {} ({})",
                        message.recipient,
                        channel.as_str(),
                        message.subject,
                        receipt.detail
                    ),
                    Err(failure) => tracing::warn!(
                        "failed to tell {} by {}: {failure}",
                        message.recipient,
                        channel.as_str()
                    ),
                }
                context.core.call(move |core| core.dispatched(&ids, &result)).await?;
                continue;
            }
            Dispatch::Wait(ms) => ms,
        };
        let wait = context.core.call(move |core| core.real_duration(Duration::from_millis(wait_ms.max(1) as u64))).await?;
        let wait = if shown.is_err() { wait.min(SHOW_AGAIN) } else { wait };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = context.wake.changed() => changed?,
            changed = context.board.changed() => { changed?; context.board.mark_changed(); }
            Some(trial) = trials.recv() => {
                let result = within(notifier.deliver(&trial.message)).await;
                // Whoever asked may have gone away.
                let _ = trial.answer.send(result);
            }
            () = source::stopped(&mut context.shutdown) => return Ok(()),
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(DELIVER_MS_MAX), work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Later(format!("no answer within {} s", DELIVER_MS_MAX / 1_000))),
    }
}

/// Keeps the board up to date for all channels that show it.
pub async fn keep_board(
    core: CoreHandle,
    mut wake: watch::Receiver<u64>,
    board: watch::Sender<Arc<Board>>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        let now = Arc::new(core.call(|core| core.board()).await?);
        board.send_if_modified(|shown| {
            let is_new = **shown != *now;
            if is_new {
                *shown = now;
            }
            is_new
        });
        tokio::select! {
            () = tokio::time::sleep(BOARD_EVERY) => {}
            changed = wake.changed() => changed?,
            () = source::stopped(&mut shutdown) => return Ok(()),
        }
    }
}

/// Hands the other sides' later words to the core.
pub async fn take_reports(
    core: CoreHandle,
    mut reports: mpsc::Receiver<Report>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        tokio::select! {
            Some(report) = reports.recv() => core.call(move |core| core.report_delivery(&report)).await?,
            () = source::stopped(&mut shutdown) => return Ok(()),
        }
    }
}

/// Silences what sounds when the button is pressed.
pub async fn take_presses<P>(
    core: CoreHandle,
    mut presses: mpsc::Receiver<P>,
    wake: Arc<watch::Sender<u64>>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        tokio::select! {
            Some(_) = presses.recv() => {
                core.call(super::super::pipeline::Core::silence).await?;
                wake.send_modify(|count| *count += 1);
            }
            () = source::stopped(&mut shutdown) => return Ok(()),
        }
    }
}
