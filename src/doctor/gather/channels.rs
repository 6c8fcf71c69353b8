use std::sync::Arc;

use super::super::facts::{Hub, Mail, SignIn, Steps, Webhook};
use super::net::{self, parts, reach};
use super::{LIMITS, WEBHOOKS_MAX, not_given, secret_path, within};
use crate::clock::{CertificateTime, SystemClock};
use crate::config::{Config, SmtpSection, WebhookSection};
use crate::domain::UnixMs;
use crate::notify::email;

/// The mail server as the hub would use it, up to the sign-in: no mail is sent.
pub async fn mail(config: &Config, hub: &Hub, system: &Arc<SystemClock>) -> Option<Mail> {
    let mut section = config.notify.smtp.clone()?;
    section.password_file = section.password_file.map(|path| secret_path(&path));
    let not_given = section.password_file.as_deref().and_then(|path| not_given(path, hub));
    if not_given.is_some() {
        section.username = None;
    }
    let mut mail = Mail { server: format!("{}:{}", section.host, section.port()), ..Mail::default() };
    talk(&mut mail, &section, system).await;
    if let Some(not_given) = not_given {
        mail.signed_in = not_given;
    }
    Some(mail)
}

async fn talk(mail: &mut Mail, section: &SmtpSection, system: &Arc<SystemClock>) {
    let (dns, addresses) = net::look_up(&section.host, section.port()).await;
    mail.steps.dns = dns;
    if let Err(why) = addresses {
        mail.steps.dns = Some(Err(why));
        return;
    }
    let time = CertificateTime::new(system.clone(), UnixMs(0));
    let probe = match within(LIMITS.mail, async { Ok(email::probe(section, &time).await) }).await {
        Ok(probe) => probe,
        Err(why) => {
            mail.greeted = Some(Err(why));
            return;
        }
    };
    let found = |result: Result<(), crate::notify::Failure>| result.map_err(|failure| failure.to_string());
    mail.steps.tcp = Some(probe.reached.map(|peer| peer.to_string()).map_err(|failure| failure.to_string()));
    mail.greeted = probe.greeted.map(found);
    mail.signed_in = probe.signed_in.map(found).map_or(SignIn::None, SignIn::Tried);
}

/// The way to each host, TLS included: nothing is posted, since whoever is called acts.
pub async fn webhooks(config: &Config, system: &Arc<SystemClock>) -> Vec<Webhook> {
    let sections = config.notify.webhook.iter().take(WEBHOOKS_MAX);
    // All at once: a network that is away costs the time of one.
    let tasks: Vec<_> = sections
        .map(|section| {
            let (own, system) = (section.clone(), system.clone());
            (section, tokio::spawn(async move { webhook(&own, &system).await }))
        })
        .collect();
    let mut found = Vec::new();
    for (section, task) in tasks {
        found.push(task.await.unwrap_or_else(|error| {
            let dns = Some(Err(format!("the look at it ended by a panic: {error}")));
            let steps = Steps { dns, ..Steps::default() };
            Webhook { name: format!("webhook {}", section.name), host: "?".into(), steps }
        }));
    }
    found
}

async fn webhook(section: &WebhookSection, system: &Arc<SystemClock>) -> Webhook {
    let name = format!("webhook {}", section.name);
    // A path or query often holds a token, so that only the host is shown.
    let Some((host, port, is_tls)) = parts(&section.url) else {
        let dns = Some(Err("its url has no host".to_owned()));
        return Webhook { name, host: "?".into(), steps: Steps { dns, ..Steps::default() } };
    };
    let certificates = CertificateTime::new(system.clone(), UnixMs(0));
    let tls = is_tls.then_some((section.ca_file.as_deref(), certificates));
    let (steps, _) = reach(&host, port, tls).await;
    Webhook { name, host: format!("{host}:{port}"), steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn webhooks_are_looked_at_in_their_order_and_no_more_than_a_handful() {
        let hooks: Vec<String> = (0..=WEBHOOKS_MAX)
            .map(|no| {
                format!("[[notify.webhook]]\nname = 'h{no}'\nurl = 'http://127.0.0.1:9/{no}'\nsecret_file = '/x'\n")
            })
            .collect();
        let config = Config::parse(&hooks.concat()).unwrap();
        let found = webhooks(&config, &Arc::new(SystemClock::new().unwrap())).await;
        let names: Vec<&str> = found.iter().map(|hook| hook.name.as_str()).collect();
        let want: Vec<String> = (0..WEBHOOKS_MAX).map(|no| format!("webhook h{no}")).collect();
        assert_eq!(names, want);
        assert!(found.iter().all(|hook| matches!(hook.steps.tcp, Some(Err(_)))), "{found:?}");
    }
}
