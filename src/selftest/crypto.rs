//! Cryptography against answers that its standards print.

use anyhow::{Result, ensure};
use frostguard_sync::ids::{hex, sha256};
use frostguard_sync::signing;
use ring::hmac;

use super::Bench;
use crate::lorawan::ids::Key;
use crate::lorawan::phy::{self, Uplink};

pub fn check(_: &Bench) -> Result<String> {
    check_sha256()?;
    check_hmac()?;
    check_ed25519()?;
    check_lorawan()?;
    check_randomness()?;
    Ok("SHA-256, HMAC, Ed25519 and LoRaWAN's AES and CMAC give the known answers".to_owned())
}

/// FIPS 180-4: the audit chain and reading ids.
fn check_sha256() -> Result<()> {
    let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    ensure!(hex(&sha256(&[b"abc"])) == want, "{}", wrong("SHA-256"));
    Ok(())
}

/// RFC 4231, case 2: webhooks.
fn check_hmac() -> Result<()> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
    let tag = hmac::sign(&key, b"what do ya want for nothing?");
    let want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    ensure!(hex(tag.as_ref()) == want, "{}", wrong("HMAC-SHA-256"));
    Ok(())
}

/// RFC 8032, 7.1, test 2: the receiver's time.
fn check_ed25519() -> Result<()> {
    let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let is_good = signing::verify(&key, &[0x72], &signature) && !signing::verify(&key, &[0x73], &signature);
    ensure!(is_good, "{}", wrong("Ed25519"));
    Ok(())
}

/// A frame as LoRaWAN 1.0 makes it, its MIC and its payload.
fn check_lorawan() -> Result<()> {
    let network = Key::new(array("44024241ed4ce9a68c6a8bc055233fd3"));
    let application = Key::new(array("ec925802ae430ca77fd3dd73cb2cc588"));
    let is_good = match phy::parse(&bytes("40f17dbe4900020001954378762b11ff0d")) {
        Ok(Uplink::Data(frame)) => {
            frame.is_signed_by(&network, 2)
                && !frame.is_signed_by(&application, 2)
                && frame.decrypt(&application, 2) == b"test"
        }
        _ => false,
    };
    ensure!(is_good, "{}", wrong("LoRaWAN's AES and CMAC"));
    Ok(())
}

fn check_randomness() -> Result<()> {
    let mut random = crate::hub::system_random();
    let mut draws = [[0; 32]; 2];
    for draw in &mut draws {
        random(draw);
    }
    ensure!(draws[0] != draws[1], "the kernel's randomness repeats itself; this kernel cannot be used");
    Ok(())
}

fn wrong(what: &str) -> String {
    format!("{what} gave a wrong answer: this build does not fit the processor, or the memory is faulty")
}

/// Of the constants here.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn array(hex: &str) -> [u8; 16] {
    let mut array = [0; 16];
    for (to, from) in array.iter_mut().zip(bytes(hex)) {
        *to = from;
    }
    array
}
