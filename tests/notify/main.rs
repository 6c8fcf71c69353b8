//! Channels against the real thing: a Mosquitto, a strict mail server, an HTTP server that checks signatures, and lines
//! of a simulated GPIO chip where the kernel has one.

#[path = "../support/mod.rs"]
mod support;

mod doctor;
mod email;
mod http_server;
mod keys;
mod kitchen;
mod mqtt;
mod signal;
mod smtp_server;
mod webhook;
