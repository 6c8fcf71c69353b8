//! E-mail: one message to one recipient, handed to the configured mail server.
//!
//! - `compose`: the mail as it stands on the wire. Pure.
//! - `session`: the conversation with the server.
//!
//! Every message has a connection of its own: alarms are rare, and an idle connection is closed by servers and routers
//! without a word.

mod compose;
mod session;

pub use session::{Probe, probe};

use lettre::Address;
use lettre::message::Mailbox;

use super::{Channel, Failure, Message, Notifier, Receipt};
use crate::clock::CertificateTime;
use crate::config::SmtpSection;

/// There is one `[notify.smtp]` section, so it needs no name.
const NAME: &str = "smtp";

pub struct Email {
    config: SmtpSection,
    time: CertificateTime,
}

impl Email {
    /// `time` judges the server's certificate.
    pub fn new(config: SmtpSection, time: CertificateTime) -> Self {
        Self { config, time }
    }
}

impl Notifier for Email {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &str {
        NAME
    }

    /// Accepted is not delivered: the server may still bounce it, which nobody tells the hub.
    async fn deliver(&mut self, message: &Message) -> Result<Receipt, Failure> {
        let from: Mailbox = self.config.from.parse().map_err(|_| {
            Failure::Later(format!("[notify.smtp] from = {:?} is no mail address", self.config.from))
        })?;
        let to: Address = message
            .recipient
            .parse()
            .map_err(|_| Failure::Never(format!("{:?} is no mail address", message.recipient)))?;
        let mail = compose::mail(message, &from, &to)?;
        session::submit(&self.config, &self.time, (&from.email, &to), &mail).await
    }
}
