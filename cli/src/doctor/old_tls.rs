//! The first words of a client that knows TLS 1.1 at best, and what a server answers to them.
//!
//! RFC 8996 ended TLS 1.0 and 1.1. A library that can no longer speak them cannot find out who does, so the
//! one message that is needed is written here by hand. Nothing is negotiated: the connection ends with the answer.
//!
//! Untrusted: the answer, of which eleven bytes are read.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use super::facts::OldTls;

/// Says hello and reads the beginning of the answer.
pub(super) fn offer(stream: &mut (impl Read + Write), host: &str) -> OldTls {
    let answered = stream.write_all(&hello(host)).and_then(|()| stream.flush()).and_then(|()| first(stream));
    match answered {
        Ok(answer) => understood(&answer),
        Err(error) => OldTls::Unclear(format!("with {}", error.kind())),
    }
}

/// Record header, handshake header, version: enough of a server hello. An alert is shorter.
fn first(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stream.take(11).read_to_end(&mut answer).map(|_| ()).or_else(|error| {
        // An alert may be followed by silence or a reset.
        if answer.len() >= 7 { Ok(()) } else { Err(error) }
    })?;
    Ok(answer)
}

fn understood(answer: &[u8]) -> OldTls {
    match answer {
        [] => OldTls::Unclear("with nothing".to_owned()),
        // RFC 5246 §7.2: alert, two bytes: level, description 70 is protocol_version.
        [ALERT, 3, _, 0, 2, _, 70, ..] => OldTls::Refused,
        [ALERT, 3, _, 0, 2, _, description, ..] => OldTls::Unclear(format!("with alert {description}")),
        // RFC 4346 §7.4.1.3: handshake, server hello, three bytes of length, the version that was chosen.
        [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, 3, 2] => OldTls::Accepted("TLS 1.1"),
        [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, 3, 1] => OldTls::Accepted("TLS 1.0"),
        _ => OldTls::Unclear("with something else than TLS".to_owned()),
    }
}

/// RFC 4346 §7.4.1.2: a client hello of version 3.2, which is TLS 1.1.
fn hello(host: &str) -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([0x43; 32]); // the random, which protects nothing here
    body.push(0); // no session
    body.extend(counted(&CIPHERS));
    body.extend([1, 0]); // no compression
    let mut extensions = GROUPS_AND_FORMATS.to_vec();
    if host.parse::<IpAddr>().is_err() {
        extensions.extend(server_name(host));
    }
    body.extend(counted(&extensions));
    let mut message = vec![CLIENT_HELLO, 0];
    message.extend(counted(&body));
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(counted(&message));
    record
}

/// RFC 6066 §3: one host name.
fn server_name(host: &str) -> Vec<u8> {
    let mut name = vec![0];
    name.extend(counted(host.as_bytes()));
    let mut extension = vec![0, 0];
    extension.extend(counted(&counted(&name)));
    extension
}

/// Two bytes of length, and the bytes. Nothing here comes near their limit: a host name has 253 at most.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, bytes].concat()
}

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// With AES-CBC and SHA-1, which is what TLS 1.1 had: by ECDSA, by RSA with ECDHE, by RSA alone.
const CIPHERS: [u8; 12] = [0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x35];
/// RFC 8422 §5.1: X25519, P-256 and P-384; uncompressed points.
const GROUPS_AND_FORMATS: [u8; 18] = [0, 10, 0, 8, 0, 6, 0, 0x1d, 0, 0x17, 0, 0x18, 0, 11, 0, 2, 1, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_alert_a_hello_or_unclear() {
        let unclear = |text: &str| OldTls::Unclear(text.to_owned());
        assert_eq!(understood(&[21, 3, 1, 0, 2, 2, 70]), OldTls::Refused);
        assert_eq!(understood(&[21, 3, 1, 0, 2, 2, 40]), unclear("with alert 40"));
        assert_eq!(understood(&[22, 3, 2, 0, 61, 2, 0, 0, 57, 3, 2]), OldTls::Accepted("TLS 1.1"));
        assert_eq!(understood(&[22, 3, 1, 0, 61, 2, 0, 0, 57, 3, 1]), OldTls::Accepted("TLS 1.0"));
        assert_eq!(understood(b"HTTP/1.1 40"), unclear("with something else than TLS"));
        assert_eq!(understood(&[]), unclear("with nothing"));
    }

    #[test]
    fn the_lengths_of_the_hello_add_up() {
        for host in ["127.0.0.1", "bao.example"] {
            let hello = hello(host);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
        }
        assert!(hello("bao.example").ends_with(b"bao.example"));
    }
}
