//! Ed25519 (RFC 8032) statements between receiver and hub.

/// What the receiver signs for `GET /v1/time`. `nonce`: 16 bytes the caller chose.
pub fn time_message(nonce: &[u8; 16], now_ms: i64) -> Vec<u8> {
    [b"frostguard time v1".as_slice(), nonce, &now_ms.to_be_bytes()].concat()
}

/// Checks an Ed25519 signature; `public_key` has 32 bytes.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}
