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

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    #[test]
    fn only_the_statement_itself_verifies() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let key = pair.public_key().as_ref();
        let message = time_message(&[1; 16], 1_790_000_000_123);
        let signature = pair.sign(&message);
        assert!(verify(key, &message, signature.as_ref()));
        for other in [
            time_message(&[2; 16], 1_790_000_000_123),
            time_message(&[1; 16], 1_790_000_000_124),
            message[1..].to_vec(),
        ] {
            assert!(!verify(key, &other, signature.as_ref()));
        }
        assert!(!verify(&[0; 32], &message, signature.as_ref()));
        assert!(!verify(&key[..31], &message, signature.as_ref()));
        assert!(!verify(key, &message, &signature.as_ref()[..63]));
    }
}
