//! One-time codes, tokens and hex.

use ring::rand::SecureRandom;

use crate::ids::sha256;

/// Crockford's base32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 50 bits: with 5 tries an address and minute, and 24 h to live, not to be guessed.
pub const CODE_CHARS: usize = 10;

/// No randomness from the system.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

/// A new code, as a person reads it: `XXXXX-XXXXX`.
pub fn make_code(random: &dyn SecureRandom) -> Result<String, NoRandomness> {
    let mut bytes = [0u8; CODE_CHARS];
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    let mut code: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    code.insert(CODE_CHARS / 2, '-');
    Ok(code)
}

/// What is stored of a code as a person typed it: case, hyphens and spaces do not count, O is 0, I and L are 1.
/// None: it cannot be a code.
pub fn hash_code(typed: &str) -> Option<[u8; 32]> {
    let code: String = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect();
    let good = code.len() == CODE_CHARS && code.bytes().all(|byte| ALPHABET.contains(&byte));
    good.then(|| sha256(&[b"frostguard enrolment code", code.as_bytes()]))
}

/// 256 random bits in hex; and what is stored of them: `sha256` of that text.
pub fn make_token(random: &dyn SecureRandom) -> Result<(String, [u8; 32]), NoRandomness> {
    let mut bytes = [0u8; 32];
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    let token = to_hex(&bytes);
    let digest = sha256(&[token.as_bytes()]);
    Ok((token, digest))
}

/// A random id (RFC 9562, 5.4).
pub fn make_uuid(random: &dyn SecureRandom) -> Result<uuid::Uuid, NoRandomness> {
    let mut bytes = [0u8; 16];
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        let code = make_code(&ring::rand::SystemRandom::new()).unwrap();
        let hash = hash_code(&code).unwrap();
        for typed in
            [code.to_lowercase(), code.replace('-', ""), code.replace('-', " "), code.replace('0', "o")]
        {
            assert_eq!(hash_code(&typed), Some(hash), "{typed}");
        }
        assert_eq!(hash_code(&code.replace('1', "l")), Some(hash));
        for typed in ["", "ABCDE-FGHJ", "ABCDE-FGHJU", "ABCDE-FGHJKM", "ÄBCDE-FGHJK"] {
            assert_eq!(hash_code(typed), None, "{typed}");
        }
    }

    #[test]
    fn hex_goes_there_and_back() {
        assert_eq!(from_hex(&to_hex(&[0, 1, 0xab, 0xff])), Some(vec![0, 1, 0xab, 0xff]));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("zz"), None);
    }
}
