//! The hub's own LoRaWAN network server, and what gateways and device labels speak: pure.
//!
//! [`server::Lns`] is a state machine for class A devices, joined over the air (1.0.0 to 1.0.4, and 1.1 devices in 1.0 mode) or
//! personalised. It is given frames by gateways and the time, and gives back readings, answers to devices, and what must
//! be stored before an answer may leave. Around it stand the gateways' protocols ([`udp`], [`station`]) and what an installer
//! has in his hands ([`qr`], [`shipment`], [`personal`]). The cryptography and byte layouts are the crate lrwn's, behind [`phy`].
//!
//! # What a driver does, in this order
//!
//! 1. **Start.** Load every [`session::Device`] from the store into [`server::Lns::new`]. Under a new epoch call
//!    [`server::Lns::jump_ahead`] and commit its changes before any socket is opened.
//! 2. **Hear.** Semtech UDP: [`udp::parse`], send [`udp::Datagram::ack`] at once, then [`server::Lns::receive`] for each frame,
//!    if the gateway is in the list; remember the address of each gateway's latest PULL_DATA. Basics Station:
//!    [`station::router_info`], then on its own connection [`station::router_config`] for the version, [`station::parse`] for the
//!    rest. Count what is dropped by the names the types give (`name()`, [`udp::Dropped::by_reason`]).
//! 3. **Judge.** At [`server::Lns::deadline`] (200 ms after a frame was first heard) call [`server::Lns::poll`]. It gives a
//!    [`server::Step`] a frame.
//! 4. **Store.** In one transaction: the frames of [`server::Uplink::frames`] and every [`session::SessionChange`] of
//!    [`server::Sealed::changes`]. A change holds the whole new value and may be made twice or late: load the row,
//!    [`session::Device::apply`], write it. If [`server::Sealed::is_urgent`], commit now: the first window is a second after
//!    the frame, and 200 ms of it are gone. Readings are committed in the order of the steps: a frame that is repeated is
//!    acknowledged on the strength of the reading that came before it.
//! 5. **Answer.** After the commit, and only then, [`server::Sealed::committed`] gives the [`gateway::Downlink`]. Ask for its
//!    window when about to send: [`server::Lns::window`] and [`udp::pull_resp`] to the PULL_DATA address; on an error in the
//!    TX_ACK of that token ask for the next window and send again, until there is none. A station gets all at once:
//!    [`server::Lns::windows`] and [`station::dnmsg`]. Keep a downlink until its TX_ACK or 7 s, whichever is first.
//!    If the commit failed, drop the `Sealed`; memory is ahead of the store, which is harmless, since what is ahead are numbers
//!    that were never sent.
//! 6. **Now and then** (seconds to a minute, and at shutdown) store [`server::Lns::take_lagging`]: uplink counters and link
//!    histories. What is lost of it in a power cut re-admits frames that the log knows already.
//!
//! Pairing: a device is added by [`server::Lns::put_device`] (store it first); it is paired at [`server::Uplink::activated`], not
//! when a join is answered. [`server::Lns::joins_of`] (and, of a personalised one, [`server::Lns::wrong_mics_of`]) says what
//! keeps it out, [`server::Lns::strangers`] who else wants to join, [`server::Lns::flush_dev_nonces`] lets a reset device in again.
//!
//! Not there: classes B and C, sessions of 1.1, roaming, multicast, listen-before-talk (Japan), downlinks of an application.

pub mod adr;
pub mod duty;
pub mod gateway;
mod hex;
pub mod ids;
pub mod mac;
pub mod personal;
pub mod phy;
pub mod qr;
pub mod rate;
pub mod region;
pub mod server;
pub mod session;
pub mod shipment;
pub mod station;
pub mod udp;

#[cfg(test)]
pub(crate) mod tests;
