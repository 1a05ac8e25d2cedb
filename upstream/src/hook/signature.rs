//! What proves that a delivery is ours and fresh: `t=<seconds since the epoch>,v1=<hex>`, the HMAC-SHA256 of
//! `<t>.<body>` under the shared secret. The scheme is Stripe's, so that libraries for it serve.

use doorbell_protocol::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that carries it.
pub const SIGNATURE_HEADER: &str = "doorbell-signature";
/// Shortest secret. 32 random bytes in base64 are 43.
pub const SECRET_BYTES_MIN: usize = 16;

/// Signs a body as of a moment.
#[must_use]
pub fn sign(secret: &[u8], at: Timestamp, body: &[u8]) -> String {
    let seconds = at.as_millis() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of some length'` says.
    #[test]
    fn a_signature_is_the_one_that_other_tools_compute() {
        let signature =
            sign(b"a secret of some length", Timestamp::from_millis(1_700_000_000_999), br#"{"a":1}"#);
        assert_eq!(
            signature,
            "t=1700000000,v1=e09db3ce6e6e8f9b633a62851e5074a9e9148ac19b1c0e1a8f7c352380be630b"
        );
    }
}
