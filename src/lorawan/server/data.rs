//! Data frames: whose they are, whether they are new, and what to answer.

use super::send::Size;
use super::{
    Event, Lns, Now, Refusal, Refused, STATUS_AGAIN_MS, STATUS_EVERY_MS, Sealed, StatusAsked, Step, Uplink,
    Withheld,
};
use crate::domain::MonoMs;
use crate::lorawan::adr::{Answer, Link, Sample, Setting};
use crate::lorawan::gateway::{Downlink, Reception};
use crate::lorawan::ids::Eui;
use crate::lorawan::mac::{self, Battery, F_OPTS_BYTES_MAX, FromDevice, ToDevice};
use crate::lorawan::phy::{DataDown, DataUp};
use crate::lorawan::region::Channels;
use crate::lorawan::session::{Activation, Device, Session, SessionChange, Standing};

/// DevAddr, FCtrl and FCnt.
const HEADER_BYTES: usize = 7;
/// A downlink without payload: MHDR, header, options, MIC.
const DOWNLINK: Size = Size { least: 1 + HEADER_BYTES + 4, most: 1 + HEADER_BYTES + F_OPTS_BYTES_MAX + 4 };

/// A frame that a session signed.
struct Owned {
    dev_eui: Eui,
    /// By the session made in the last join, not yet in use.
    by_pending: bool,
    standing: Standing,
}

/// What the device said and asked in MAC commands.
#[derive(Default)]
struct Said {
    commands: Vec<FromDevice>,
    unread: usize,
}

impl Said {
    fn status(&self) -> Option<(Battery, i8)> {
        self.commands.iter().find_map(|command| match command {
            FromDevice::DevStatusAns { battery, margin_db } => Some((*battery, *margin_db)),
            _ => None,
        })
    }

    fn asks(&self, what: FromDevice) -> bool {
        self.commands.contains(&what)
    }
}

impl Lns {
    pub(super) fn data(&mut self, frame: &DataUp, heard: Vec<Reception>, now: Now) -> Step {
        let owned = match self.owner(frame) {
            Ok(owned) => owned,
            Err(why) => {
                if why == Refusal::WrongMic {
                    self.pairing.note_unsigned(frame.dev_addr);
                }
                return refused(why, None, frame, heard);
            }
        };
        let dev_eui = owned.dev_eui;
        let resets = matches!(self.devices[&dev_eui].activation, Activation::Abp { accepts_reset: true });
        match owned.standing {
            Standing::Ahead(f_cnt) => self.new_frame(&owned, f_cnt, false, frame, heard, now),
            Standing::Behind(f_cnt) if resets => self.new_frame(&owned, f_cnt, true, frame, heard, now),
            Standing::Behind(_) => refused(Refusal::CounterBehind, Some(dev_eui), frame, heard),
            Standing::Repeated(f_cnt) => self.repeated(dev_eui, f_cnt, frame, &heard, now),
        }
    }

    /// Several devices may have the same address, and one device two sessions: the MIC decides.
    fn owner(&self, frame: &DataUp) -> Result<Owned, Refusal> {
        let holders = self.addresses.get(&frame.dev_addr).ok_or(Refusal::UnknownAddress)?;
        let mut behind = None;
        for dev_eui in holders {
            let device = &self.devices[dev_eui];
            for (session, by_pending) in [(&device.session, false), (&device.pending, true)] {
                let session = session.as_ref().filter(|session| session.dev_addr == frame.dev_addr);
                let Some(standing) =
                    session.and_then(|session| session.standing(frame, device.is_personalised()))
                else {
                    continue;
                };
                let owned = Owned { dev_eui: *dev_eui, by_pending, standing };
                if matches!(standing, Standing::Behind(_)) {
                    behind = Some(owned);
                } else {
                    return Ok(owned);
                }
            }
        }
        behind.ok_or(Refusal::WrongMic)
    }

    fn new_frame(
        &mut self,
        owned: &Owned,
        f_cnt: u32,
        was_reset: bool,
        frame: &DataUp,
        heard: Vec<Reception>,
        now: Now,
    ) -> Step {
        let dev_eui = owned.dev_eui;
        let region = self.config.region;
        let device = self.devices.get_mut(&dev_eui).expect("the owner is a device");
        if owned.by_pending {
            device.session = device.pending.take();
        }
        let session = device.session.as_mut().expect("the frame is of a session");
        let expected = session.f_cnt_up.filter(|_| !was_reset).map_or(f_cnt, |last| last + 1);
        session.f_cnt_up = Some(f_cnt);
        if was_reset {
            session.link = Link::default();
        }

        let (said, payload) = open(frame, session, f_cnt);
        let best = heard.first();
        let margin_tenths =
            best.and_then(|best| Some(best.snr_tenths?.saturating_sub(best.rate.snr_needed_tenths())));
        hear(session, best.and_then(|best| region.uplink_dr(best.rate)), f_cnt, best);
        answers(session, &said);
        if said.status().is_some() {
            self.status.insert(dev_eui, StatusAsked { at: now.mono, is_answered: true });
        }
        if owned.by_pending {
            self.pairing.forget(dev_eui);
            self.index(dev_eui);
        }

        let (sealed, withheld) = self.answer(dev_eui, f_cnt, owned.by_pending, frame, &said, &heard, now);
        let uplink = Uplink {
            dev_eui,
            dev_addr: frame.dev_addr,
            f_cnt,
            is_confirmed: frame.is_confirmed,
            payload,
            activated: owned.by_pending,
            was_reset,
            lost: f_cnt.saturating_sub(expected),
            margin_tenths,
            status: said.status(),
            commands_unread: said.unread,
            heard,
        };
        Step { event: Event::Uplink(Box::new(uplink)), sealed, withheld }
    }

    /// The device did not hear the answer to its last frame: it gets another one.
    fn repeated(&mut self, dev_eui: Eui, f_cnt: u32, frame: &DataUp, heard: &[Reception], now: Now) -> Step {
        let session = self.devices[&dev_eui].session.as_ref().expect("the frame is of the session in use");
        let (said, _) = open(frame, session, f_cnt);
        let (sealed, withheld) = self.answer(dev_eui, f_cnt, false, frame, &said, heard, now);
        Step { event: Event::Repeated { dev_eui, f_cnt }, sealed, withheld }
    }

    #[expect(clippy::too_many_arguments, reason = "all of one frame, used once")]
    fn answer(
        &mut self,
        dev_eui: Eui,
        f_cnt: u32,
        activated: bool,
        frame: &DataUp,
        said: &Said,
        heard: &[Reception],
        now: Now,
    ) -> (Sealed, Option<Withheld>) {
        let sent = self.compose(dev_eui, f_cnt, frame, said, heard, now);
        let device = &self.devices[&dev_eui];
        let session = Box::new(device.session.clone().expect("an answered device has a session"));
        let (downlink, withheld) = match sent {
            Ok(downlink) => (downlink, None),
            Err(withheld) => (None, Some(withheld)),
        };
        let changes = match (activated, &downlink) {
            (true, _) => vec![SessionChange::Activated { dev_eui, session }],
            (false, Some(_)) => vec![SessionChange::Current { dev_eui, session }],
            (false, None) => Vec::new(),
        };
        if changes.is_empty() {
            self.lagging.insert(dev_eui);
        } else {
            self.lagging.remove(&dev_eui);
        }
        (Sealed::new(changes, downlink), withheld)
    }

    /// The downlink this frame is answered with, `None` if there is nothing to say.
    fn compose(
        &mut self,
        dev_eui: Eui,
        f_cnt: u32,
        frame: &DataUp,
        said: &Said,
        heard: &[Reception],
        now: Now,
    ) -> Result<Option<Downlink>, Withheld> {
        let device = &self.devices[&dev_eui];
        let session = device.session.as_ref().expect("an answered device has a session");
        let rx1_ms = u32::from(session.rx1_delay_s.max(1)) * 1_000;
        let answers = link_answers(said, heard, now);
        let requests = self.requests(device, session, f_cnt, frame, now.mono);
        let must = frame.is_confirmed || frame.adr_ack_req || !answers.is_empty();
        if !must && requests.is_empty() {
            return Ok(None);
        }
        let route = match self.route(heard, [rx1_ms, rx1_ms + 1_000], DOWNLINK, now.mono) {
            Ok(route) => route,
            // What the hub wants to say can wait.
            Err(_) if !must => return Ok(None),
            Err(withheld) => return Err(withheld),
        };
        let region = self.config.region;
        let rooms = route.windows.iter().map(|window| region.mac_payload_bytes_max(window.dr));
        let room = rooms.min().unwrap_or(0).saturating_sub(HEADER_BYTES).min(F_OPTS_BYTES_MAX);
        let (f_opts, said_now) = fill(answers.into_iter().chain(requests), room);
        if !must && f_opts.is_empty() {
            return Ok(None);
        }

        let device = self.devices.get_mut(&dev_eui).expect("it was found above");
        let session = device.session.as_mut().expect("an answered device has a session");
        let next = session.f_cnt_down.checked_add(1).ok_or(Withheld::CounterExhausted)?;
        let down = DataDown {
            dev_addr: Some(session.dev_addr),
            adr: self.config.adr,
            ack: frame.is_confirmed,
            f_cnt: session.f_cnt_down,
            f_opts,
            payload: None,
        };
        session.f_cnt_down = next;
        note_asked(session, f_cnt, &said_now);
        if said_now.contains(&ToDevice::DevStatusReq) {
            self.status.insert(dev_eui, StatusAsked { at: now.mono, is_answered: false });
        }
        let phy = down.seal(&session.nwk_s_key, &session.app_s_key);
        Ok(Some(route.into_downlink(dev_eui, phy)))
    }

    /// What the hub has to ask of the device, each group to be sent whole or not at all, the most needed first.
    fn requests(
        &self,
        device: &Device,
        session: &Session,
        f_cnt: u32,
        frame: &DataUp,
        now: MonoMs,
    ) -> Vec<Vec<ToDevice>> {
        let region = self.config.region;
        let link = &session.link;
        let mut groups = Vec::new();
        let better = if self.config.adr && frame.adr { link.better(region) } else { None };
        let wants_mask = region.needs_mask() && !link.link_adr.is_done;
        if (better.is_some() || wants_mask) && link.link_adr.may_ask(f_cnt) {
            let wanted = better.unwrap_or_else(|| link.setting(region));
            let asks = region.link_adr(session.channels, wanted.data_rate, wanted.power, wanted.repetitions);
            groups.push(asks.into_iter().map(ToDevice::LinkAdrReq).collect());
        }
        if let Some(request) = region.tx_param_setup(device.version)
            && !link.tx_param.is_done
            && link.tx_param.may_ask(f_cnt)
        {
            groups.push(vec![request]);
        }
        let status_due = self.status.get(&device.dev_eui).is_none_or(|asked| {
            let every = if asked.is_answered { STATUS_EVERY_MS } else { STATUS_AGAIN_MS };
            now.0 - asked.at.0 >= every
        });
        if status_due {
            groups.push(vec![ToDevice::DevStatusReq]);
        }
        groups
    }
}

fn refused(why: Refusal, dev_eui: Option<Eui>, frame: &DataUp, heard: Vec<Reception>) -> Step {
    let refused = Refused { why, dev_eui, dev_addr: Some(frame.dev_addr), heard };
    Step { event: Event::Refused(refused), sealed: Sealed::default(), withheld: None }
}

/// Commands and payload in plain. Commands in the options and on port 0 at once are against the standard: none is believed.
fn open(frame: &DataUp, session: &Session, f_cnt: u32) -> (Said, Option<(u8, Vec<u8>)>) {
    let read = |bytes: &[u8]| {
        let (commands, unread) = mac::read(bytes);
        Said { commands, unread }
    };
    match frame.f_port {
        Some(0) if frame.f_opts.is_empty() => (read(&frame.decrypt(&session.nwk_s_key, f_cnt)), None),
        Some(0) => (Said::default(), None),
        Some(port) => (read(&frame.f_opts), Some((port, frame.decrypt(&session.app_s_key, f_cnt)))),
        None => (read(&frame.f_opts), None),
    }
}

fn hear(session: &mut Session, data_rate: Option<u8>, f_cnt: u32, best: Option<&Reception>) {
    if let Some(data_rate) = data_rate
        && let Some(snr_tenths) = best.and_then(|best| best.snr_tenths)
    {
        session.link.hear(data_rate, Sample { f_cnt, snr_tenths });
    }
}

/// Takes the device's answers to what it was asked. A block of LinkADRReqs is answered one by one; all must be yes.
fn answers(session: &mut Session, said: &Said) {
    let mut link_adr: Option<Answer> = None;
    for command in &said.commands {
        match command {
            FromDevice::LinkAdrAns { channels_ok, data_rate_ok, power_ok } => {
                let before =
                    link_adr.unwrap_or(Answer { channels_ok: true, data_rate_ok: true, power_ok: true });
                link_adr = Some(Answer {
                    channels_ok: before.channels_ok && *channels_ok,
                    data_rate_ok: before.data_rate_ok && *data_rate_ok,
                    power_ok: before.power_ok && *power_ok,
                });
            }
            FromDevice::TxParamSetupAns => session.link.tx_param.is_answered(true),
            _ => {}
        }
    }
    if let Some(answer) = link_adr {
        if !answer.channels_ok {
            // It did not take the join-accept's channels; those of its region it has.
            session.channels = Channels::Default;
        }
        session.link.is_answered(answer);
    }
}

/// What the device asked for, answered.
fn link_answers(said: &Said, heard: &[Reception], now: Now) -> Vec<Vec<ToDevice>> {
    let mut groups = Vec::new();
    let best = heard.first();
    if said.asks(FromDevice::LinkCheckReq) {
        let margin =
            best.and_then(|best| Some(best.snr_tenths?.saturating_sub(best.rate.snr_needed_tenths())));
        // 255 is reserved.
        let margin_db = (margin.unwrap_or(0) / 10).clamp(0, 254) as u8;
        groups.push(vec![ToDevice::LinkCheckAns { margin_db, gateways: heard.len().min(255) as u8 }]);
    }
    // A wrong time does more harm in a sensor than none.
    if said.asks(FromDevice::DeviceTimeReq)
        && let (Some(wall), Some(best)) = (now.wall, best)
    {
        groups.push(vec![ToDevice::DeviceTimeAns { unix_ms: wall.0 - (now.mono.0 - best.at.0) }]);
    }
    groups
}

/// As many whole groups as there is room for.
fn fill(groups: impl Iterator<Item = Vec<ToDevice>>, room: usize) -> (Vec<u8>, Vec<ToDevice>) {
    let (mut bytes, mut commands) = (Vec::new(), Vec::new());
    for group in groups {
        let more: Vec<u8> = group.iter().flat_map(|command| command.bytes()).collect();
        if bytes.len() + more.len() <= room {
            bytes.extend(more);
            commands.extend(group);
        }
    }
    (bytes, commands)
}

fn note_asked(session: &mut Session, f_cnt: u32, commands: &[ToDevice]) {
    for command in commands {
        match command {
            ToDevice::LinkAdrReq(ask) => {
                session.link.asked = Some(Setting {
                    data_rate: ask.data_rate,
                    power: ask.power,
                    repetitions: ask.repetitions,
                });
            }
            ToDevice::TxParamSetupReq { .. } => session.link.tx_param.asks(f_cnt),
            _ => {}
        }
    }
    if commands.iter().any(|command| matches!(command, ToDevice::LinkAdrReq(_))) {
        session.link.link_adr.asks(f_cnt);
    }
}
