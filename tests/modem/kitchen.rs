use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use frostguard_hub::config::{Config, ModemSection};
use frostguard_hub::counters::Counters;
use frostguard_hub::domain::Severity;
use frostguard_hub::notify::modem::{Modem as Channel, ModemStatus};
use frostguard_hub::notify::{Failure, Kind, Message, Notifier, Receipt, Report};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::modem::{Behaviour, Modem};
use crate::support::{PATIENCE, Scratch, deadline, now};

pub const COOK: &str = "+4915112345678";

/// A hub's channel and the modem it speaks with.
pub struct Kitchen {
    pub modem: Modem,
    pub channel: Channel,
    pub status: watch::Receiver<ModemStatus>,
    pub reports: mpsc::Receiver<Report>,
    pub counters: Counters,
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<anyhow::Result<()>>,
    pub scratch: Scratch,
}

impl Kitchen {
    pub fn start(behaviour: Behaviour, rest: &str) -> Self {
        let scratch = Scratch::new("modem");
        let modem = Modem::start(scratch.join("sms"), behaviour);
        Self::with_modem(scratch, modem, rest)
    }

    pub fn with_modem(scratch: Scratch, modem: Modem, rest: &str) -> Self {
        let pin = scratch.join("pin");
        let rest = rest.replace("PIN_FILE", &pin.display().to_string());
        let text = format!("[notify.modem]\npath = \"{}\"\n{rest}", modem.path().display());
        let section: ModemSection =
            Config::parse(&text).expect("the section is right").notify.modem.expect("there is one");
        let (told, reports) = mpsc::channel(4);
        let counters = Counters::default();
        let (channel, line) = Channel::new(section, told, counters.clone(), 7);
        let status = channel.status();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(line.run(stopped));
        Self { modem, channel, status, reports, counters, stop, task, scratch }
    }

    pub fn plain() -> Self {
        Self::start(Behaviour::default(), "")
    }

    pub fn write_pin(&self, pin: &str) {
        let path = self.scratch.write("pin", pin);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("make the PIN private");
    }

    pub async fn send(&mut self, text: &str) -> Result<Receipt, Failure> {
        self.send_to(COOK, text).await
    }

    pub async fn send_to(&mut self, recipient: &str, text: &str) -> Result<Receipt, Failure> {
        let message = message(recipient, text);
        let sent = self.channel.deliver(&message);
        timeout(PATIENCE, sent).await.expect("an answer comes in time")
    }

    #[track_caller]
    pub fn sent(&mut self, text: &str) -> impl Future<Output = Receipt> {
        let caller = std::panic::Location::caller();
        async move { self.send(text).await.unwrap_or_else(|error| panic!("at {caller}: {error}")) }
    }

    /// Sends until the modem is back, as the hub would.
    pub async fn sent_at_last(&mut self, text: &str) -> Receipt {
        let message = message(COOK, text);
        let end = deadline();
        while now() < end {
            match self.channel.deliver(&message).await {
                Ok(receipt) => return receipt,
                Err(Failure::Later(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("tried in vain");
    }

    pub async fn report(&mut self) -> Report {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report comes in time").expect("the line lives")
    }

    pub async fn status(&mut self, what: &str, is: impl Fn(&ModemStatus) -> bool) -> ModemStatus {
        let found = timeout(PATIENCE, self.status.wait_for(|status| is(status))).await;
        found.unwrap_or_else(|_| panic!("waited in vain for {what}")).expect("the line lives").clone()
    }

    /// Texts that arrived, and that nothing was said which must not be.
    #[track_caller]
    pub fn check(&self, want: &[&str]) {
        let messages = self.modem.messages();
        let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!((texts.as_slice(), self.modem.complaints().as_slice()), (want, [].as_slice()));
    }

    pub async fn stop(self) {
        self.stop.send(true).expect("the line listens");
        timeout(PATIENCE, self.task)
            .await
            .expect("it stops in time")
            .expect("it does not panic")
            .expect("it ends well");
    }
}

pub fn message(recipient: &str, text: &str) -> Message {
    Message {
        id: Uuid::from_u128(text.len() as u128),
        kind: Kind::Call,
        severity: Severity::Critical,
        recipient: recipient.to_owned(),
        subject: "Freezer 2".to_owned(),
        text: text.to_owned(),
        alerts: Vec::new(),
        made_ms: None,
    }
}
