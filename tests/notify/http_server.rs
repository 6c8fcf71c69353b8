//! An HTTP/1.1 server of a few lines: it takes one request a connection and answers as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Debug)]
pub struct Request {
    /// "POST /hook HTTP/1.1".
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub struct HttpServer {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// `answer`: all of it, from the status line on. Empty: the connection is closed.
    pub async fn start(acceptor: Option<TlsAcceptor>, answer: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // A client that goes away ends only its own request.
                let _ = match &acceptor {
                    Some(acceptor) => match acceptor.accept(tcp).await {
                        Ok(stream) => serve(stream, &heard, &answer).await,
                        Err(error) => Err(error),
                    },
                    None => serve(tcp, &heard, &answer).await,
                };
            }
        });
        Self { port, requests, task }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no task of the server panics").clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    heard: &Mutex<Vec<Request>>,
    answer: &str,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let headers: BTreeMap<String, String> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    heard.lock().expect("no task of the server panics").push(Request { line, headers, body });
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
