//! A certificate for one handshake, made anew each time, so that no key is shipped. X.509 (RFC 5280) in DER, of which only
//! what TLS asks for is written.

use anyhow::{Result, anyhow};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// A name that no network resolves (RFC 6761).
pub const NAME: &str = "selftest.invalid";

/// DER of the certificate and of its key (PKCS #8).
pub struct Identity {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// Signed by itself, with an ECDSA key on P-256, good from 2020 to 2049.
pub fn make() -> Result<Identity> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
        .map_err(|_| anyhow!("make a key: the kernel gives no randomness"))?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random)
        .map_err(|error| anyhow!("read the key that was just made: {error}"))?;
    let content = content(pair.public_key().as_ref());
    let signature = pair.sign(&random, &content).map_err(|_| anyhow!("sign a certificate"))?;
    let certificate = sequence(&[&content, &signed_by(), &bits(signature.as_ref())]);
    Ok(Identity { certificate, key: key.as_ref().to_vec() })
}

fn content(public_key: &[u8]) -> Vec<u8> {
    let name = sequence(&[&tagged(0x31, &[&sequence(&[&tagged(0x06, &[&[0x55, 4, 3]]), &text(NAME)])])]);
    let validity = sequence(&[&tagged(0x17, &[b"200101000000Z"]), &tagged(0x17, &[b"491231235959Z"])]);
    let on_p256 = sequence(&[
        &tagged(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]),
        &tagged(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]),
    ]);
    let names = sequence(&[&tagged(0x82, &[NAME.as_bytes()])]);
    let extension = sequence(&[&tagged(0x06, &[&[0x55, 0x1d, 17]]), &tagged(0x04, &[&names])]);
    sequence(&[
        // Version 3, serial number 1.
        &tagged(0xa0, &[&tagged(0x02, &[&[2]])]),
        &tagged(0x02, &[&[1]]),
        &signed_by(),
        &name,
        &validity,
        &name,
        &sequence(&[&on_p256, &bits(public_key)]),
        &tagged(0xa3, &[&sequence(&[&extension])]),
    ])
}

/// ecdsa-with-SHA256.
fn signed_by() -> Vec<u8> {
    sequence(&[&tagged(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

fn text(text: &str) -> Vec<u8> {
    tagged(0x0c, &[text.as_bytes()])
}

/// A bit string of whole bytes.
fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], bytes])
}

/// Tag, length, value; all here is shorter than 64 KiB.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = value.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(value);
    out
}
