//! How the server is reached: TLS, certificate, versions.

use super::server::is_true;
use super::{Check, Judged, Property, Verdict, seen, unclear};
use crate::doctor::facts::{Facts, OldTls, ServerConfig, Tls};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.tls.listener",
        property: Property::DataInTransit,
        expected: "https, and no TCP listener without TLS",
        remedy: "listener \"tcp\" { tls_cert_file = … tls_key_file = … } without tls_disable",
        judge: listener,
    },
    Check {
        id: "source.tls.certificate",
        property: Property::DataInTransit,
        expected: "a certificate that is verified and valid for 14 more days",
        remedy: "renew the certificate and send the server SIGHUP; name its authority in BAO_CACERT",
        judge: certificate,
    },
    Check {
        id: "source.tls.version",
        property: Property::DataInTransit,
        expected: "TLS 1.2 and 1.3 only",
        remedy: "listener \"tcp\" { tls_min_version = \"tls13\" }, or \"tls12\" for old clients",
        judge: version,
    },
];

fn listener(facts: &Facts) -> Judged {
    if facts.tls == Tls::Plain {
        return Ok((Verdict::Fail, "this address is plain HTTP".to_owned()));
    }
    let plain = plain_listeners(seen(&facts.config)?);
    if plain.is_empty() {
        return Ok((Verdict::Pass, "https, and every TCP listener with TLS".to_owned()));
    }
    Ok((Verdict::Fail, format!("tls_disable at {}", plain.join(", "))))
}

fn plain_listeners(config: &ServerConfig) -> Vec<String> {
    let plain =
        config.listeners.iter().filter(|one| one.kind == "tcp" && is_true(one.config.get("tls_disable")));
    let address = |one: &crate::doctor::facts::Listener| {
        one.config
            .get("address")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("its default address")
            .to_owned()
    };
    plain.map(address).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "all judges have one type")]
fn certificate(facts: &Facts) -> Judged {
    let Tls::Encrypted { certificate, .. } = &facts.tls else {
        return Ok((Verdict::Fail, "none: this address is plain HTTP".to_owned()));
    };
    let certificate = match certificate {
        Ok(certificate) => certificate,
        Err(why) => return Ok((Verdict::Fail, why.clone())),
    };
    let days = certificate.not_after.since(facts.now) / DAY;
    let found = format!("valid until {}, {days} days", certificate.not_after);
    Ok(match (days, certificate.skipped) {
        (0..14, _) => (Verdict::Fail, found),
        (14.., true) => (Verdict::Warn, format!("{found}, but BAO_SKIP_VERIFY is set")),
        (14.., false) => (Verdict::Pass, found),
    })
}

fn version(facts: &Facts) -> Judged {
    let Tls::Encrypted { certificate, old } = &facts.tls else {
        return Ok((Verdict::Fail, "none: this address is plain HTTP".to_owned()));
    };
    let spoken = certificate.as_ref().map_or("TLS", |certificate| certificate.version.as_str());
    match old {
        OldTls::Accepted(version) => Ok((Verdict::Fail, format!("{version} was accepted"))),
        OldTls::Refused => Ok((Verdict::Pass, format!("{spoken} spoken, TLS 1.1 refused"))),
        OldTls::Unclear(why) => configured(seen(&facts.config)?, why),
    }
}

/// What the configuration says, where the handshake said nothing.
fn configured(config: &ServerConfig, why: &str) -> Judged {
    let old = config.listeners.iter().find_map(|listener| {
        let least = listener.config.get("tls_min_version")?.as_str()?;
        matches!(least, "tls10" | "tls11").then_some(least)
    });
    match old {
        Some(least) => Ok((Verdict::Fail, format!("tls_min_version = {least}"))),
        None => unclear(format!("a client of TLS 1.1 was answered {why}")),
    }
}

const DAY: u64 = 86_400;
