//! Integers in columns: zig-zag varints turned on their side. All first bytes of a column stand together, then all
//! second bytes of those that have one, and so on: a noisy low byte and a quiet high byte compress each by itself.

use super::WireError;
use super::frame::Plain;

/// Seven bits a byte: a u64 has at most ten.
const PLANES_MAX: usize = 10;

/// Small numbers near zero, whatever their sign: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes a column. One value repeated costs that value: the first byte says whether it is (0: no rows, 1: one value
/// for all, 2: planes).
pub(super) fn write(plain: &mut Plain, values: &[u64]) {
    plain.cut();
    let Some(&first) = values.first() else {
        plain.bytes.push(0);
        return;
    };
    if values.iter().all(|&value| value == first) {
        plain.bytes.push(1);
        write_planes(plain, vec![first]);
    } else {
        plain.bytes.push(2);
        write_planes(plain, values.to_vec());
    }
}

fn write_planes(plain: &mut Plain, mut rest: Vec<u64>) {
    while !rest.is_empty() {
        plain.bytes.extend(rest.iter().map(|&value| (value & 0x7f) as u8 | u8::from(value > 0x7f) << 7));
        plain.cut();
        rest.retain_mut(|value| {
            *value >>= 7;
            *value > 0
        });
    }
}

/// Reads a column of `count` values.
pub(super) fn read(input: &mut Input<'_>, count: usize) -> Result<Vec<u64>, WireError> {
    match (input.byte()?, count) {
        (0, 0) => Ok(Vec::new()),
        (1, 1..) => Ok(vec![read_planes(input, 1)?[0]; count]),
        (2, 1..) => read_planes(input, count),
        (form, _) => Err(WireError::Damaged(format!("column of {count} values has the form {form}"))),
    }
}

fn read_planes(input: &mut Input<'_>, count: usize) -> Result<Vec<u64>, WireError> {
    let first = input.take(count)?;
    let mut values: Vec<u64> = first.iter().map(|byte| u64::from(byte & 0x7f)).collect();
    let mut open: Vec<u32> = (0..count as u32).filter(|&i| first[i as usize] & 0x80 != 0).collect();
    for plane in 1.. {
        if open.is_empty() {
            break;
        }
        let bytes = input.take(open.len())?;
        // Bit 63 is the only one of the tenth byte; a zero last byte would spell a number two ways.
        let is_wrong = |&byte: &u8| byte == 0 || (plane == PLANES_MAX - 1 && byte != 1);
        if plane == PLANES_MAX || bytes.iter().any(is_wrong) {
            return Err(WireError::Damaged("a number is over 64 bits or not in its shortest form".into()));
        }
        for (&i, &byte) in open.iter().zip(bytes) {
            values[i as usize] |= u64::from(byte & 0x7f) << (7 * plane);
        }
        let mut bytes = bytes.iter();
        open.retain(|_| bytes.next().is_some_and(|byte| byte & 0x80 != 0));
    }
    Ok(values)
}

/// What is left of a decoded body.
pub(super) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| WireError::Damaged(format!("it ends {} bytes early", count - self.0.len())))?;
        self.0 = rest;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    /// The next value in postcard.
    pub fn value<T: serde::Deserialize<'a>>(&mut self) -> Result<T, WireError> {
        let (value, rest) =
            postcard::take_from_bytes(self.0).map_err(|error| WireError::Damaged(error.to_string()))?;
        self.0 = rest;
        Ok(value)
    }

    pub fn end(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(WireError::Damaged(format!("{left} decoded bytes are left over"))),
        }
    }
}

/// Appends a value in postcard.
pub(super) fn write_value(plain: &mut Plain, value: &impl serde::Serialize) {
    let bytes = std::mem::take(&mut plain.bytes);
    plain.bytes = postcard::to_extend(value, bytes).expect("postcard writes these types to memory");
}
