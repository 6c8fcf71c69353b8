//! A checkpoint's body: where the rules stood, and what lives beside them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::live::Door;
use crate::domain::MonoMs;
use crate::rules::State;

/// First byte of a body; another form gets another number, and an unknown one is rebuilt by replay.
const VERSION: u8 = 2;

pub struct Saved {
    pub doors: BTreeMap<Door, (bool, MonoMs)>,
    pub state: State,
}

#[derive(Serialize, Deserialize)]
struct Body {
    doors: BTreeMap<Door, (bool, MonoMs)>,
    /// `State::encode`, which has a version of its own.
    state: Vec<u8>,
}

impl Saved {
    pub fn encode(&self) -> Vec<u8> {
        let body = Body { doors: self.doors.clone(), state: self.state.encode() };
        let mut bytes = vec![VERSION];
        bytes.extend(
            postcard::to_allocvec(&body).expect("a checkpoint serializes: plain data of known lengths"),
        );
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((&VERSION, rest)) = bytes.split_first() else {
            anyhow::bail!("the checkpoint is of another version");
        };
        let body: Body = postcard::from_bytes(rest).context("the checkpoint is damaged")?;
        Ok(Self { doors: body.doors, state: State::decode(&body.state)? })
    }
}
