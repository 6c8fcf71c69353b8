//! The tasks that make people hear: one per channel, the board they show, the button that silences.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::CertificateTime;
use crate::config::NotifySection;
use crate::control::NotifyTest;
use crate::counters::Counters;
use crate::notify::email::Email;
use crate::notify::modem::{Modem, ModemStatus};
use crate::notify::mqtt::Mqtt;
use crate::notify::signal::{Button, Signal};
use crate::notify::webhook::Webhook;
use crate::notify::{Board, Channel, DELIVER_MS_MAX, Failure, Message, Notifier, Receipt, Report};
use crate::pipeline::Core;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::driver::CoreHandle;
use crate::source;

/// Messages that a person tries a channel with; one at a time.
const TESTS_QUEUED_MAX: usize = 4;
/// Later words of other sides that wait for the core.
const REPORTS_QUEUED_MAX: usize = 64;
/// Temperatures on the board are this old at most; alerts are on it at once.
const BOARD_EVERY: Duration = Duration::from_secs(10);
/// A board that could not be shown is tried again.
const SHOW_AGAIN: Duration = Duration::from_secs(5);

/// A person tries a channel.
struct Trial {
    message: Message,
    answer: oneshot::Sender<Result<Receipt, Failure>>,
}

/// How a channel's task is reached.
#[derive(Clone)]
struct ChannelHandle {
    channel: Channel,
    name: String,
    trials: mpsc::Sender<Trial>,
}

/// What every channel's task is given.
#[derive(Clone)]
struct ChannelContext {
    core: CoreHandle,
    /// Changes when something may be due.
    wake: watch::Receiver<u64>,
    board: watch::Receiver<Arc<Board>>,
    shutdown: watch::Receiver<bool>,
}

/// Works off what is due on one channel until the hub stops.
async fn drive<N: Notifier>(
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
        if *context.shutdown.borrow() {
            return Ok(());
        }
        if context.board.has_changed()? || shown.is_err() {
            let board = context.board.borrow_and_update().clone();
            let is_first_failure = shown.is_ok();
            shown = within(notifier.show(&board)).await;
            if let (Err(failure), true) = (&shown, is_first_failure) {
                tracing::error!(
                    "failed to show the alerts by {} {}: {failure}",
                    channel.as_str(),
                    notifier.name()
                );
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
                        masked(&message.recipient),
                        channel.as_str(),
                        message.subject,
                        receipt.detail
                    ),
                    Err(failure) => tracing::warn!(
                        "failed to tell {} by {}: {failure}",
                        masked(&message.recipient),
                        channel.as_str()
                    ),
                }
                context.core.call(move |core| core.dispatched(&ids, &result)).await?;
                continue;
            }
            Dispatch::Wait(ms) => ms,
        };
        let wait = context
            .core
            .call(move |core| core.real_duration(Duration::from_millis(wait_ms.max(1) as u64)))
            .await?;
        let wait = if shown.is_err() { wait.min(SHOW_AGAIN) } else { wait };
        tokio::select! {
            biased;
            () = source::stopped(&mut context.shutdown) => return Ok(()),
            () = tokio::time::sleep(wait) => {}
            changed = context.wake.changed() => changed?,
            changed = context.board.changed() => {
                changed?;
                context.board.mark_changed();
            }
            Some(trial) = trials.recv() => {
                let result = within(notifier.deliver(&trial.message)).await;
                // Whoever asked may have gone away.
                let _ = trial.answer.send(result);
            }
        }
    }
}

/// Enough of a number or address to tell it from others.
fn masked(recipient: &str) -> String {
    let count = recipient.chars().count();
    if recipient.starts_with('+') || recipient.contains('@') {
        recipient.chars().enumerate().map(|(at, c)| if at < 2 || at + 3 >= count { c } else { '.' }).collect()
    } else {
        recipient.to_owned()
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(DELIVER_MS_MAX), work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Later(format!("no answer within {} s", DELIVER_MS_MAX / 1_000))),
    }
}

/// Keeps the board up to date for all channels that show it.
async fn keep_board(
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
async fn take_reports(
    core: CoreHandle,
    mut reports: mpsc::Receiver<Report>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        tokio::select! {
            Some(report) = reports.recv() => core.call(move |core| core.report_delivery(report)).await?,
            () = source::stopped(&mut shutdown) => return Ok(()),
        }
    }
}

/// Silences what sounds when the button is pressed.
async fn take_presses(
    core: CoreHandle,
    mut button: Button,
    wake: Arc<watch::Sender<u64>>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        tokio::select! {
            () = button.pressed() => {
                tracing::info!("the button was pressed: buzzers are silent until somebody is called again");
                core.call(Core::silence).await?;
                wake.send_modify(|count| *count += 1);
            }
            () = source::stopped(&mut shutdown) => return Ok(()),
        }
    }
}

/// The channels of the configuration, each with its task.
#[derive(Clone, Default)]
pub struct Channels {
    handles: Vec<ChannelHandle>,
    modem: Option<watch::Receiver<ModemStatus>>,
    /// What hangs on lines: its name, and why it is dead.
    lines: Vec<(String, watch::Receiver<Option<String>>)>,
}

/// What starting the channels needs besides their configuration.
pub struct Needs<'a> {
    pub core: &'a CoreHandle,
    pub wake: Arc<watch::Sender<u64>>,
    pub certificates: &'a CertificateTime,
    pub counters: &'a Counters,
    pub shutdown: &'a watch::Receiver<bool>,
    /// Random: part of what tells the parts of one long SMS from another's.
    pub joint: u8,
}

impl Channels {
    /// Starts a task for each configured channel, and those that serve them all.
    pub fn start(
        config: &NotifySection,
        needs: &Needs<'_>,
        tasks: &mut JoinSet<Result<&'static str>>,
    ) -> Self {
        let mut channels = Self::default();
        let has_any = config.modem.is_some()
            || config.smtp.is_some()
            || !(config.signal.is_empty() && config.webhook.is_empty() && config.mqtt.is_empty());
        if !has_any {
            tracing::warn!("no channel is configured under [notify]: alarms are shown, and nobody is called");
            return channels;
        }
        let (shown, board) = watch::channel(Arc::new(Board::default()));
        let Needs { core, wake, certificates, counters, shutdown, joint } = needs;
        let context = ChannelContext {
            core: (*core).clone(),
            wake: wake.subscribe(),
            board,
            shutdown: (*shutdown).clone(),
        };
        let mut keep = |task: Pin<Box<dyn Future<Output = Result<()>> + Send>>, name: &'static str| {
            tasks.spawn(async move { task.await.map(|()| name) });
        };
        keep(Box::pin(keep_board((*core).clone(), wake.subscribe(), shown, (*shutdown).clone())), "board");
        if let Some(modem) = &config.modem {
            let (reports, reported) = mpsc::channel(REPORTS_QUEUED_MAX);
            let (modem, line) = Modem::new(modem.clone(), reports, (*counters).clone(), *joint);
            channels.modem = Some(modem.status());
            keep(Box::pin(line.run((*shutdown).clone())), "modem");
            keep(Box::pin(take_reports((*core).clone(), reported, (*shutdown).clone())), "reports");
            keep(channels.open(modem, &context), "sms");
        }
        if let Some(smtp) = &config.smtp {
            keep(channels.open(Email::new(smtp.clone(), (*certificates).clone()), &context), "email");
        }
        for section in &config.signal {
            let signal = Signal::start(section.clone());
            channels.lines.push((format!("signal {}", section.name), signal.problem()));
            keep(channels.open(signal, &context), "signal");
        }
        for section in &config.webhook {
            keep(channels.open(Webhook::new(section.clone(), (*certificates).clone()), &context), "webhook");
        }
        for section in &config.mqtt {
            keep(
                channels.open(Mqtt::start(section.clone(), (*certificates).clone()), &context),
                "notify mqtt",
            );
        }
        if let Some(section) = &config.button {
            let button = Button::start(section.clone());
            channels.lines.push(("button".to_owned(), button.problem()));
            keep(
                Box::pin(take_presses((*core).clone(), button, wake.clone(), (*shutdown).clone())),
                "button",
            );
        }
        channels
    }

    fn open<N: Notifier + 'static>(
        &mut self,
        notifier: N,
        context: &ChannelContext,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        let (trials, tried) = mpsc::channel(TESTS_QUEUED_MAX);
        let handle = ChannelHandle { channel: notifier.channel(), name: notifier.name().to_owned(), trials };
        self.handles.push(handle);
        Box::pin(drive(notifier, context.clone(), tried))
    }

    /// Tries channels and says what happened.
    pub async fn test(&self, core: &CoreHandle, request: &NotifyTest) -> Result<Value> {
        let wanted = |handle: &&ChannelHandle| {
            let name = request.channel.as_deref();
            name.is_none_or(|name| name == handle.name || name == handle.channel.as_str())
        };
        let tried: Vec<ChannelHandle> = self.handles.iter().filter(wanted).cloned().collect();
        if tried.is_empty() {
            let known: Vec<&str> = self.handles.iter().map(|handle| handle.name.as_str()).collect();
            match (&request.channel, known.is_empty()) {
                (_, true) => bail!("no channel is configured: see [notify] in the configuration"),
                (Some(name), false) => bail!("no channel {name:?}; there are {}", known.join(", ")),
                (None, false) => {}
            }
        }
        let mut results = Vec::new();
        for handle in tried {
            results.push(handle.test(core, request.to.clone()).await?);
        }
        let is_ok = results.iter().all(|result| result["ok"] == true);
        Ok(json!({ "results": results, "ok": is_ok }))
    }

    /// For `status`: how buzzers, lamps, relays and the button are.
    pub fn lines(&self) -> Value {
        let line = |(name, problem): &(String, watch::Receiver<Option<String>>)| {
            let state = problem.borrow().as_ref().map_or("works".to_owned(), |why| format!("dead: {why}"));
            (name.clone(), state.into())
        };
        Value::Object(self.lines.iter().map(line).collect())
    }

    /// For `status`: how the modem is.
    pub fn modem(&self) -> Value {
        let status = self.modem.as_ref().map(|status| serde_json::to_value(&*status.borrow()));
        // Plain data always is JSON.
        status.and_then(Result::ok).unwrap_or(Value::Null)
    }
}

impl ChannelHandle {
    async fn test(&self, core: &CoreHandle, to: Option<String>) -> Result<Value> {
        let (channel, name) = (self.channel, self.name.clone());
        let message = core.call(move |core| core.trial_message(channel, &name, to.as_deref())).await?;
        let (recipient, result) = match message {
            Ok(message) => {
                let recipient = message.recipient.clone();
                let (answer, answered) = oneshot::channel();
                let sent = self.trials.send(Trial { message, answer }).await;
                let result = match sent {
                    Ok(()) => {
                        answered.await.unwrap_or_else(|_| Err(Failure::Later("the hub is stopping".into())))
                    }
                    Err(_) => Err(Failure::Later("the hub is stopping".into())),
                };
                (recipient, result)
            }
            Err(error) => (String::new(), Err(Failure::Never(format!("{error:#}")))),
        };
        let (is_ok, detail) = match result {
            Ok(receipt) => (true, receipt.detail),
            Err(failure) => (false, failure.to_string()),
        };
        Ok(json!({
            "channel": self.channel.as_str(), "name": self.name, "recipient": recipient, "ok": is_ok, "detail": detail,
        }))
    }
}
