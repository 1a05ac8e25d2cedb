//! A certificate chain and its private key, from PEM, checked so far as a server can: they belong together, and the
//! chain's first certificate says when it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The end is near in the last fourteen days: who renews by hand needs some, and whatever renews by itself has begun
/// with a third of the time left.
const SOON_MAX: Duration = Duration::from_secs(14 * 24 * 3_600);
/// For certificates that live for days, this part of their life.
const SOON_SHARE: u32 = 5;

/// How a certificate's times stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not hold yet: clients refuse it.
    Early,
    /// It holds.
    Good,
    /// It holds, and ends soon.
    Soon,
    /// It has ended: clients refuse it.
    Expired,
}

/// What a server shows.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    begins: Timestamp,
    expires: Timestamp,
}

/// Why a certificate cannot be shown. It never repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// No certificate in the PEM text, or one that is damaged.
    #[error("the certificate file holds no PEM certificate that can be read (BEGIN CERTIFICATE)")]
    Chain,
    /// No private key in the PEM text, or one of an unknown kind.
    #[error("the key file holds no PEM private key that can be used (BEGIN PRIVATE KEY, unencrypted)")]
    Key,
    /// They are of two pairs.
    #[error(
        "the private key is not that of the certificate file's first certificate: the server's own comes first"
    )]
    Mismatch,
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// [`InvalidCertificate`] says which of the two files is at fault. Its times are not judged.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, InvalidCertificate> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| InvalidCertificate::Chain)?;
        let own = chain.first().ok_or(InvalidCertificate::Chain)?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|_| InvalidCertificate::Chain)?;
        let moment = |seconds: i64| {
            Timestamp::default().plus(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        };
        let validity = parsed.validity();
        let (begins, expires) =
            (moment(validity.not_before.timestamp()), moment(validity.not_after.timestamp()));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| InvalidCertificate::Key)?;
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| InvalidCertificate::Key)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| InvalidCertificate::Mismatch)?;
        Ok(Self { key: Arc::new(key), begins, expires })
    }

    /// When it begins to hold.
    #[must_use]
    pub const fn begins(&self) -> Timestamp {
        self.begins
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// How its times stand at that moment.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let soon = SOON_MAX.min(self.expires.since(self.begins) / SOON_SHARE);
        if now < self.begins {
            Standing::Early
        } else if self.expires <= now {
            Standing::Expired
        } else if self.expires.since(now) <= soon {
            Standing::Soon
        } else {
            Standing::Good
        }
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn pair(year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn parse(chain: &str, key: &str) -> Result<Certificate, InvalidCertificate> {
        Certificate::parse(chain.as_bytes(), key.as_bytes())
    }

    #[test]
    fn a_pair_says_when_it_ends() {
        let (chain, key) = pair(2030);
        let certificate = parse(&chain, &key).unwrap();
        // 2020-01-01 and 2030-01-01.
        assert_eq!(certificate.begins(), Timestamp::from_millis(1_577_836_800_000));
        assert_eq!(certificate.expires(), Timestamp::from_millis(1_893_456_000_000));
        let at = |day: u64| certificate.standing(Timestamp::from_millis(day * 86_400_000));
        for (day, standing) in [
            (18_261, Standing::Early),
            (18_262, Standing::Good),
            (21_900, Standing::Good),
            (21_901, Standing::Soon),
            (21_914, Standing::Soon),
            (21_915, Standing::Expired),
        ] {
            assert_eq!(at(day), standing, "day {day}");
        }
    }

    #[test]
    fn what_is_no_pair_is_refused_and_says_which_file() {
        let ((chain, key), (other, _)) = (pair(2030), pair(2030));
        let half = &chain[..chain.len() / 2];
        assert_eq!(parse("", &key).unwrap_err(), InvalidCertificate::Chain);
        assert_eq!(parse(half, &key).unwrap_err(), InvalidCertificate::Chain);
        assert_eq!(parse(&key, &key).unwrap_err(), InvalidCertificate::Chain);
        assert_eq!(parse(&chain, "").unwrap_err(), InvalidCertificate::Key);
        assert_eq!(parse(&chain, &chain).unwrap_err(), InvalidCertificate::Key);
        assert_eq!(parse(&other, &key).unwrap_err(), InvalidCertificate::Mismatch);
    }
}
