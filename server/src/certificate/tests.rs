use super::*;
use prometheus::Registry;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A certificate from 2020 to the start of that year, in the two files.
fn write(scratch: &TempDir, year: i32) -> config::Tls {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    let config = config::Tls {
        certificate_file: scratch.path().join("chain.pem"),
        key_file: scratch.path().join("key.pem"),
        ..config::Tls::default()
    };
    fs::write(&config.certificate_file, params.self_signed(&key).unwrap().pem()).unwrap();
    write_key(&config, &key.serialize_pem());
    config
}

fn write_key(config: &config::Tls, pem: &str) {
    fs::write(&config.key_file, pem).unwrap();
    fs::set_permissions(&config.key_file, PermissionsExt::from_mode(0o600)).unwrap();
}

fn refused(config: &config::Tls) -> String {
    format!("{:#}", read(config).unwrap_err())
}

#[test]
fn each_fault_names_its_key_its_file_and_never_the_secret() {
    let scratch = tempfile::tempdir().unwrap();
    let config = write(&scratch, 2100);
    read(&config).unwrap();
    let (chain, secret) =
        (fs::read(&config.certificate_file).unwrap(), fs::read_to_string(&config.key_file).unwrap());

    fs::set_permissions(&config.key_file, PermissionsExt::from_mode(0o644)).unwrap();
    let open = refused(&config);
    assert!(
        open.contains("`tls.key_file`") && open.contains("chmod 600") && open.contains("key.pem"),
        "{open}"
    );
    write_key(&config, &KeyPair::generate().unwrap().serialize_pem());
    let other = refused(&config);
    assert!(other.contains("key.pem") && other.contains("not that of the certificate"), "{other}");
    write_key(&config, &secret[..secret.len() / 2]);
    let half = refused(&config);
    assert!(half.contains("key.pem") && half.contains("BEGIN PRIVATE KEY"), "{half}");
    fs::remove_file(&config.key_file).unwrap();
    let gone = refused(&config);
    assert!(gone.contains("`tls.key_file`: cannot read") && gone.contains("No such file"), "{gone}");

    write_key(&config, &secret);
    fs::write(&config.certificate_file, "-----BEGIN CERTIFICATE-----\nx").unwrap();
    let torn = refused(&config);
    assert!(torn.contains("`tls.certificate_file`") && torn.contains("chain.pem"), "{torn}");
    fs::write(&config.certificate_file, chain).unwrap();
    read(&config).unwrap();

    let material = secret.lines().nth(1).unwrap();
    for said in [open, other, half, gone, torn] {
        assert!(!said.contains(material), "{said}");
    }
}

#[test]
fn one_file_may_hold_both() {
    let scratch = tempfile::tempdir().unwrap();
    let mut config = write(&scratch, 2100);
    let both = fs::read_to_string(&config.key_file).unwrap()
        + &fs::read_to_string(&config.certificate_file).unwrap();
    write_key(&config, &both);
    config.certificate_file = config.key_file.clone();
    read(&config).unwrap();
}

#[test]
fn a_fault_keeps_what_is_in_force_and_a_change_is_found_once() {
    let scratch = tempfile::tempdir().unwrap();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let config = write(&scratch, 2100);
    let files = CertificateFiles::of(&config, metrics.clone()).unwrap().unwrap();
    let first = files.tls().shown().expires();

    fs::write(&config.certificate_file, "nothing").unwrap();
    files.look();
    assert_eq!((metrics.fault(), files.tls().shown().expires()), (1, first));
    assert!(files.read_again().is_err());
    assert_eq!((metrics.fault(), files.tls().shown().expires()), (1, first));

    write(&scratch, 2099);
    files.look();
    assert_eq!(metrics.fault(), 0);
    assert!(files.tls().shown().expires() < first);
    let readings = metrics.readings("ok");
    files.look();
    assert_eq!(metrics.readings("ok"), readings, "what has not changed is not read again");
}

#[test]
fn what_is_said_of_its_times_says_when_and_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let certificate = read(&write(&scratch, 2030)).unwrap();
    for (second, said) in [
        (1_500_000_000, Some("does not hold before 2020-01-01T00:00:00Z")),
        (1_700_000_000, None),
        (1_893_000_000, Some("ends at 2030-01-01T00:00:00Z: renew")),
        (1_900_000_000, Some("ended at 2030-01-01T00:00:00Z")),
    ] {
        let complaint = complaint(&certificate, Timestamp::from_millis(second * 1_000));
        assert_eq!(complaint.is_some(), said.is_some(), "{second}");
        assert!(complaint.unwrap_or_default().contains(said.unwrap_or_default()), "{second}");
    }
}
