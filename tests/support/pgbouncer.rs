//! PgBouncer in transaction mode before a PostgreSQL.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};

use super::process::{Running, Scratch};
use super::programs::pgbouncer_program;
use super::{Postgres, cluster, free_port};

pub struct PgBouncer {
    // Before the directory: fields drop in order.
    process: Running,
    scratch: Scratch,
    port: u16,
}

impl PgBouncer {
    #[track_caller]
    pub fn start(postgres: &Postgres) -> Self {
        let scratch = Scratch::new("bouncer");
        let home = scratch.join("home");
        fs::create_dir(&home).expect("make PgBouncer's directory");
        let port = free_port();
        let config = home.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 8\n",
            postgres.port()
        );
        fs::write(&config, text).expect("write PgBouncer's configuration");
        let mut command = cluster::unprivileged(&pgbouncer_program(), &home).expect("become another user");
        command.arg(&config).current_dir("/");
        let mut process = Running::start("pgbouncer", &mut command, &scratch.join("log"));
        process.wait_until("PgBouncer to listen", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        Self { process, scratch, port }
    }

    /// The address of a database of the PostgreSQL behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}
