//! A mail server as strict as RFC 5321: what is out of order, unterminated or too long is refused and noted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// RFC 5321, 4.5.3.1: with the CRLF.
const COMMAND_BYTES_MAX: usize = 512;
const TEXT_LINE_BYTES_MAX: usize = 1_000;
const UNBROKEN: &str = "no task of the server panics";

#[derive(Clone, Default)]
pub struct Behaviour {
    pub acceptor: Option<TlsAcceptor>,
    /// Begins with TLS; else offers STARTTLS where there is an acceptor.
    pub is_implicit: bool,
    /// Nobody may send without.
    pub login: Option<(&'static str, &'static str)>,
    /// Instead of PLAIN.
    pub only_login_mechanism: bool,
    /// Sent behind the answer to STARTTLS, still in the clear, as somebody on the way would.
    pub injected: &'static str,
    /// Answers in place of the usual ones, by verb; "." is the end of the mail. An empty one closes the connection.
    pub answers: BTreeMap<&'static str, &'static str>,
}

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub commands: Vec<String>,
    pub mails: Vec<String>,
    pub violations: Vec<String>,
    /// AUTH came, and not over TLS.
    pub was_password_in_the_clear: bool,
}

pub struct SmtpServer {
    pub port: u16,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl SmtpServer {
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let noted = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // A client that goes away ends only its own conversation.
                let _ = serve(tcp, &behaviour, &noted).await;
            }
        });
        Self { port, heard, task }
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().expect(UNBROKEN).clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(tcp: TcpStream, behaviour: &Behaviour, heard: &Mutex<Heard>) -> std::io::Result<()> {
    match &behaviour.acceptor {
        Some(acceptor) if behaviour.is_implicit => {
            let stream = acceptor.accept(tcp).await?;
            Talk::new(stream, behaviour, heard, true).run(true).await.map(drop)
        }
        acceptor => {
            let rest = Talk::new(tcp, behaviour, heard, false).run(true).await?;
            if let (Some(tcp), Some(acceptor)) = (rest, acceptor) {
                let stream = acceptor.accept(tcp).await?;
                // No second greeting (RFC 3207, 4.2).
                Talk::new(stream, behaviour, heard, true).run(false).await?;
            }
            Ok(())
        }
    }
}

struct Talk<'a, S> {
    stream: BufReader<S>,
    behaviour: &'a Behaviour,
    heard: &'a Mutex<Heard>,
    is_encrypted: bool,
    has_greeted: bool,
    is_known: bool,
    has_sender: bool,
    has_recipient: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Talk<'a, S> {
    fn new(stream: S, behaviour: &'a Behaviour, heard: &'a Mutex<Heard>, is_encrypted: bool) -> Self {
        let is_known = behaviour.login.is_none();
        Self {
            stream: BufReader::new(stream),
            behaviour,
            heard,
            is_encrypted,
            has_greeted: false,
            is_known,
            has_sender: false,
            has_recipient: false,
        }
    }

    fn note(&self) -> MutexGuard<'a, Heard> {
        self.heard.lock().expect(UNBROKEN)
    }

    /// The stream where STARTTLS was asked for.
    async fn run(mut self, says_hello: bool) -> std::io::Result<Option<S>> {
        if says_hello {
            self.say("220 mail.example ESMTP").await?;
        }
        loop {
            let Some(line) = self.line(COMMAND_BYTES_MAX).await? else { return Ok(None) };
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            self.note().commands.push(if verb == "AUTH" { "AUTH".into() } else { line.clone() });
            if let Some(answer) = self.behaviour.answers.get(verb.as_str()) {
                if answer.is_empty() {
                    return Ok(None);
                }
                self.say(answer).await?;
                continue;
            }
            match (verb.as_str(), self.has_greeted) {
                ("EHLO", _) => self.ehlo(&line).await?,
                ("QUIT", _) => {
                    self.say("221 2.0.0 Bye").await?;
                    return Ok(None);
                }
                (_, false) => self.violation("before EHLO", &line).await?,
                ("STARTTLS", true) if !self.is_encrypted && self.behaviour.acceptor.is_some() => {
                    self.say(&format!("220 2.0.0 Ready to start TLS{}", self.behaviour.injected)).await?;
                    return Ok(Some(self.stream.into_inner()));
                }
                ("AUTH", true) => self.auth(&line).await?,
                ("MAIL", true) if self.is_known && !self.has_sender && is_path(&line, "MAIL FROM:<") => {
                    self.has_sender = true;
                    self.say("250 2.1.0 Ok").await?;
                }
                ("RCPT", true) if self.has_sender && is_path(&line, "RCPT TO:<") => {
                    self.has_recipient = true;
                    self.say("250 2.1.5 Ok").await?;
                }
                ("DATA", true) if self.has_recipient => {
                    if !self.data().await? {
                        return Ok(None);
                    }
                }
                _ => self.violation("out of order or misspelt", &line).await?,
            }
        }
    }

    async fn ehlo(&mut self, line: &str) -> std::io::Result<()> {
        if line.len() < 6 {
            return self.violation("EHLO without a name", line).await;
        }
        self.has_greeted = true;
        let mut offers = vec!["mail.example greets you"];
        if !self.is_encrypted && self.behaviour.acceptor.is_some() && !self.behaviour.is_implicit {
            offers.push("STARTTLS");
        }
        // As real servers do: no AUTH before TLS where there is TLS.
        if self.behaviour.login.is_some() && (self.is_encrypted || self.behaviour.acceptor.is_none()) {
            offers.push(if self.behaviour.only_login_mechanism { "AUTH LOGIN" } else { "AUTH PLAIN LOGIN" });
        }
        offers.push("ENHANCEDSTATUSCODES");
        let last = offers.len() - 1;
        let lines: Vec<String> = offers
            .iter()
            .enumerate()
            .map(|(index, offer)| format!("250{}{offer}", if index == last { ' ' } else { '-' }))
            .collect();
        self.say(&lines.join("\r\n")).await
    }

    async fn auth(&mut self, line: &str) -> std::io::Result<()> {
        self.note().was_password_in_the_clear |= !self.is_encrypted;
        let Some((user, password)) = self.behaviour.login else {
            return self.violation("no AUTH here", line).await;
        };
        let decoded =
            |text: &str| String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        let is_right = match words.as_slice() {
            [_, "PLAIN", initial] if !self.behaviour.only_login_mechanism => {
                decoded(initial) == format!("\0{user}\0{password}")
            }
            [_, "LOGIN"] => {
                let mut given = Vec::new();
                for prompt in ["Username:", "Password:"] {
                    self.say(&format!("334 {}", STANDARD.encode(prompt))).await?;
                    given.push(decoded(&self.line(COMMAND_BYTES_MAX).await?.unwrap_or_default()));
                }
                given == [user, password]
            }
            _ => return self.violation("an AUTH that was not offered", line).await,
        };
        self.is_known = is_right;
        let answer =
            if is_right { "235 2.7.0 Authentication successful" } else { "535 5.7.8 authentication failed" };
        self.say(answer).await
    }

    /// False: the connection is closed.
    async fn data(&mut self) -> std::io::Result<bool> {
        self.say("354 End data with <CR><LF>.<CR><LF>").await?;
        let mut mail = String::new();
        loop {
            let Some(line) = self.line(TEXT_LINE_BYTES_MAX).await? else { return Ok(false) };
            if line == "." {
                break;
            }
            mail.push_str(line.strip_prefix('.').unwrap_or(&line));
            mail.push('\n');
        }
        (self.has_sender, self.has_recipient) = (false, false);
        match self.behaviour.answers.get(".") {
            Some(&"") => return Ok(false),
            Some(answer) => self.say(answer).await?,
            None => {
                self.note().mails.push(mail);
                self.say("250-2.0.0 thank you\r\n250 2.0.0 Ok: queued as 4F2B").await?;
            }
        }
        Ok(true)
    }

    /// A line without its CRLF; None at the end.
    async fn line(&mut self, bytes_max: usize) -> std::io::Result<Option<String>> {
        let mut bytes = Vec::new();
        if self.stream.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = text.strip_suffix("\r\n");
        let is_right = bytes.len() <= bytes_max
            && bytes.is_ascii()
            && line.is_some_and(|line| !line.contains(['\r', '\n']));
        if !is_right {
            self.note().violations.push(format!("no line: {text:?}"));
        }
        Ok(Some(line.unwrap_or(&text).to_owned()))
    }

    async fn violation(&mut self, what: &str, line: &str) -> std::io::Result<()> {
        self.note().violations.push(format!("{what}: {line}"));
        self.say("503 5.5.1 bad sequence of commands").await
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await
    }
}

fn is_path(line: &str, before: &str) -> bool {
    line.strip_prefix(before)
        .is_some_and(|rest| rest.split_once('>').is_some_and(|(path, _)| path.contains('@')))
}
