//! Hub to central and back, with hub and receiver processes, a pseudo-terminal and PostgreSQL, over a link that the tests
//! can cut, slow down, and spread over two receivers.

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod calls;
mod central;
mod copies;
mod credentials;
mod down;
mod kitchen;
mod link;
mod mixture;
mod past;
