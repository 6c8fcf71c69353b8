//! Modbus RTU as a master that only reads: requests, and their answers out of whatever the line carries.
//!
//! There is no way to make a request that writes: [`Function`] has the two functions that read registers (3 and 4 of the
//! Modbus application protocol), and nothing else builds the bytes of one.

mod register;

#[cfg(test)]
mod tests;

use serde::Deserialize;

pub use register::{Block, ModbusPreset, Register, RegisterKind, WordOrder, Words, blocks};

/// Registers of one request (Modbus application protocol, 6.3 and 6.4).
pub const REGISTERS_MAX: u16 = 125;
/// The longest frame of RTU.
pub const FRAME_BYTES_MAX: usize = 256;
/// Ids a device may have; 0 is to all, 248 and above are reserved.
pub const ID_MAX: u8 = 247;

/// Set in the function of an answer that refuses.
const REFUSED: u8 = 0x80;
/// Id, function and the count of bytes or the exception; then the data of as many bytes; then the checksum.
const HEAD_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 2;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub enum Function {
    /// Holding registers.
    Holding = 3,
    /// Input registers.
    Input = 4,
}

impl TryFrom<u8> for Function {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            3 => Ok(Function::Holding),
            4 => Ok(Function::Input),
            other => Err(format!(
                "function = {other} must be 3 (holding registers) or 4 (input registers): the hub only reads"
            )),
        }
    }
}

/// One question to one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: u8,
    pub block: Block,
}

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The registers, two bytes each.
    Data(Vec<u8>),
    /// It refuses, by this exception code.
    Exception(u8),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Silent,
    /// An answer as long as it should be whose checksum is wrong.
    BadChecksum,
    /// A good answer of another device.
    OtherId(u8),
    /// Something that is no answer at all.
    Noise,
}

impl Failure {
    /// The counter's name.
    pub fn counter(self) -> &'static str {
        match self {
            Failure::Silent => "modbus.timeouts",
            Failure::BadChecksum => "modbus.bad_checksums",
            Failure::OtherId(_) => "modbus.other_ids",
            Failure::Noise => "modbus.noise",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Silent => {
                f.write_str("no answer (is it powered, is its id right, are A and B swapped?)")
            }
            Failure::BadChecksum => {
                f.write_str("its answer is damaged (termination, shielding, two devices with one id?)")
            }
            Failure::OtherId(id) => write!(f, "device {id} answered in its place"),
            Failure::Noise => f.write_str("noise in place of an answer (baud, parity?)"),
        }
    }
}

impl Request {
    pub fn bytes(self) -> [u8; 8] {
        let Block { function, address, count } = self.block;
        let [address_high, address_low] = address.to_be_bytes();
        let [count_high, count_low] = count.to_be_bytes();
        let mut bytes = [self.id, function as u8, address_high, address_low, count_high, count_low, 0, 0];
        let sum = crc16(&bytes[..6]).to_le_bytes();
        bytes[6..].copy_from_slice(&sum);
        bytes
    }

    /// The answer, wherever it stands in what was heard: adapters repeat the request, and noise comes before.
    pub fn find(self, heard: &[u8]) -> Option<Answer> {
        (0..heard.len()).find_map(|at| self.answer_at(&heard[at..], Some(self.id)).map(|(_, answer)| answer))
    }

    /// What to make of `heard` when no answer was found in it in time.
    pub fn failure(self, heard: &[u8]) -> Failure {
        if heard.is_empty() || heard == self.bytes() {
            return Failure::Silent;
        }
        let other = (0..heard.len()).find_map(|at| self.answer_at(&heard[at..], None));
        if let Some((id, _)) = other {
            return Failure::OtherId(id);
        }
        let head = [self.id, self.block.function as u8, self.data_bytes() as u8];
        let is_answer = |at: usize| heard.len() - at >= self.answer_bytes() && heard[at..].starts_with(&head);
        if (0..heard.len()).any(is_answer) { Failure::BadChecksum } else { Failure::Noise }
    }

    /// An answer to this request at the front of `bytes`, from `id` or from anyone, and who gave it.
    fn answer_at(self, bytes: &[u8], id: Option<u8>) -> Option<(u8, Answer)> {
        let [from, function, third, ..] = *bytes else { return None };
        if id.is_some_and(|id| id != from) {
            return None;
        }
        let asked = self.block.function as u8;
        if function == asked && usize::from(third) == self.data_bytes() {
            let frame = checked(bytes.get(..self.answer_bytes())?)?;
            Some((from, Answer::Data(frame[HEAD_BYTES..].to_vec())))
        } else if function == asked | REFUSED {
            checked(bytes.get(..HEAD_BYTES + CHECKSUM_BYTES)?)?;
            Some((from, Answer::Exception(third)))
        } else {
            None
        }
    }

    fn data_bytes(self) -> usize {
        usize::from(self.block.count) * 2
    }

    fn answer_bytes(self) -> usize {
        HEAD_BYTES + self.data_bytes() + CHECKSUM_BYTES
    }
}

/// The frame without its checksum, where that is right.
fn checked(frame: &[u8]) -> Option<&[u8]> {
    let (content, sum) = frame.split_last_chunk::<CHECKSUM_BYTES>()?;
    (crc16(content) == u16::from_le_bytes(*sum)).then_some(content)
}

/// CRC-16/MODBUS (Modbus over serial line, 6.2.2): polynomial 0x8005 reflected, all ones at first.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xA001 })
    })
}
