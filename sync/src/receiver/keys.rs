//! The receiver's Ed25519 key: made once, kept in the database, the same for every copy of the receiver.

use anyhow::{Context, anyhow};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::Ms;

/// The present key's row: one name, so that of two receivers that make a key at once one wins.
const PRESENT: Uuid = Uuid::from_u128(1);

/// Signs what hubs verify with the key they pinned.
pub struct ReceiverKey(Ed25519KeyPair);

impl ReceiverKey {
    /// Reads the key, or makes it.
    pub async fn load(client: &Client, now_ms: i64) -> anyhow::Result<Self> {
        let select = "SELECT pkcs8 FROM hub_sync.receiver_keys WHERE id = $1";
        let mut row = client.query_typed_opt(select, &[(&PRESENT, Type::UUID)]).await?;
        if row.is_none() {
            let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|_| anyhow!("make the receiver's key: the system gives no randomness"))?;
            let public = Self::read(made.as_ref())?.public();
            client
                .execute_typed(
                    "INSERT INTO hub_sync.receiver_keys (id, pkcs8, public_key, created_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (id) DO NOTHING",
                    &[
                        (&PRESENT, Type::UUID),
                        (&made.as_ref(), Type::BYTEA),
                        (&public.as_slice(), Type::BYTEA),
                        (&Ms(now_ms), Type::TIMESTAMPTZ),
                    ],
                )
                .await?;
            row = client.query_typed_opt(select, &[(&PRESENT, Type::UUID)]).await?;
        }
        let row = row.context("read the receiver's key back")?;
        Self::read(row.get(0))
    }

    /// 32 bytes.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    fn read(pkcs8: &[u8]) -> anyhow::Result<Self> {
        Ed25519KeyPair::from_pkcs8(pkcs8)
            .map(Self)
            .map_err(|_| anyhow!("read the receiver's key from hub_sync.receiver_keys: it is damaged"))
    }
}
