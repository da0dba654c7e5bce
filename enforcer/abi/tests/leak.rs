//! What is found in bytes on their way out, and what is not.
#![expect(clippy::arithmetic_side_effects, reason = "places in test data")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use enforcer_abi::leak::{Form, Shape, Verdict, WINDOW};

use self::registered::Group;

mod registered;

const PASSWORD: &[u8] = b"tr0ub4dor&3-correct-horse";
const BINARY: &[u8] = b"\xfb\xff\xbf\x00\x01\xfe\xfb\xff\xbf\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0";

fn found(form: Form) -> Verdict {
    Verdict::Needle(form.number().into())
}

fn is_found(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Needle(_))
}

#[test]
fn a_secret_is_found_at_any_offset_of_the_window() {
    let mut group = Group::of(&[PASSWORD]);
    let mut bytes = vec![b' '; WINDOW + 100];
    for offset in 0..=WINDOW - PASSWORD.len() {
        bytes[offset..][..PASSWORD.len()].copy_from_slice(PASSWORD);
        assert_eq!(group.sends(&bytes), found(Form::Raw), "{offset}");
        bytes[offset] = b' ';
        assert_eq!(group.sends(&bytes), Verdict::Clean, "{offset}, but for its first byte");
        bytes[offset..][..PASSWORD.len()].fill(b' ');
    }
}

#[test]
fn what_lies_beyond_the_window_is_not_seen() {
    let mut group = Group::of(&[PASSWORD]);
    let mut bytes = vec![b' '; WINDOW];
    bytes.extend(PASSWORD);
    assert_eq!(group.sends(&bytes), Verdict::Clean);
    assert_eq!(group.sends(&bytes[1..]), Verdict::Clean, "all but its last byte is seen");
    assert_eq!(group.sends(&bytes[PASSWORD.len()..]), found(Form::Raw));
}

#[test]
fn what_was_sent_before_does_not_count() {
    let mut group = Group::of(&[PASSWORD]);
    assert_eq!(group.sends(PASSWORD), found(Form::Raw));
    for cut in 0..PASSWORD.len() {
        assert_eq!(group.sends(&PASSWORD[..cut]), Verdict::Clean, "the rest is still in the buffer");
    }
    assert_eq!(group.sends(b""), Verdict::Clean);
}

#[test]
fn a_secret_in_hexadecimal_is_found_in_either_case() {
    let mut group = Group::of(&[PASSWORD]);
    let hex = hex::encode(PASSWORD);
    assert_eq!(group.sends(format!("{{\"dump\":\"{hex}\"}}").as_bytes()), found(Form::Hex));
    assert_eq!(group.sends(hex.to_uppercase().as_bytes()), found(Form::UpperHex));
    let mut mixed = hex.into_bytes();
    mixed[1] = b'A';
    assert_eq!(group.sends(&mixed), Verdict::Clean, "nobody writes both");
}

#[test]
fn a_secret_in_base64_is_found_wherever_it_stands_in_what_was_encoded() {
    for secret in [PASSWORD, BINARY] {
        let mut group = Group::of(&[secret]);
        for before in 0..7 {
            for after in 0..4 {
                let whole = [vec![b'?'; before].as_slice(), secret, vec![b'!'; after].as_slice()].concat();
                let json = format!("{{\"data\":{{\"password\":\"{}\"}}}}", STANDARD.encode(&whole));
                let form = [Form::Base64, Form::Base64After1, Form::Base64After2][before % 3];
                assert_eq!(group.sends(json.as_bytes()), found(form), "{before} {after}");
                let url = format!("GET /?q={} HTTP/1.1\r\n", URL_SAFE_NO_PAD.encode(&whole));
                assert!(is_found(group.sends(url.as_bytes())), "{before} {after}");
            }
        }
    }
}

#[test]
fn each_of_many_secrets_is_found_though_they_begin_alike() {
    let secrets: Vec<String> =
        (0..60).map(|n| format!("postgres://app:{:016x}@db", n * 0x9e37_79b9_u64)).collect();
    let few: Vec<&[u8]> = secrets.iter().take(8).map(String::as_bytes).collect();
    let mut group = Group::of(&few);
    for secret in few {
        assert!(is_found(group.sends(secret)));
    }
    assert_eq!(group.sends(secrets[20].as_bytes()), Verdict::Clean);
}

#[test]
fn a_long_secret_is_found_by_its_middle() {
    let secret: String = (0..200).map(|n| char::from(b'!' + u8::try_from(n * 37 % 90).unwrap())).collect();
    let mut group = Group::of(&[secret.as_bytes()]);
    assert_eq!(group.sends(secret.as_bytes()), found(Form::Raw));
    assert_eq!(group.sends(&secret.as_bytes()[..100]), Verdict::Clean, "half of it");
    assert_eq!(group.sends(&secret.as_bytes()[84..116]), found(Form::Raw), "its middle");
}

#[test]
fn what_is_split_or_changed_goes_by() {
    let mut group = Group::of(&[PASSWORD]);
    let (head, tail) = PASSWORD.split_at(12);
    assert_eq!([group.sends(head), group.sends(tail)], [Verdict::Clean; 2]);
    let hidden: Vec<u8> = PASSWORD.iter().map(|byte| byte ^ 0x55).collect();
    assert_eq!(group.sends(&hidden), Verdict::Clean);
    let spaced: Vec<u8> = PASSWORD.iter().flat_map(|byte| [*byte, 0]).collect();
    assert_eq!(group.sends(&spaced), Verdict::Clean, "UTF-16");
}

#[test]
fn bytes_that_begin_many_needles_take_time_and_hide_nothing() {
    let mut group = Group::of(&[PASSWORD]);
    let mut bytes: Vec<u8> = PASSWORD[..8].repeat(WINDOW / 8);
    assert_eq!(group.sends(&bytes), Verdict::Clean);
    bytes[WINDOW - PASSWORD.len()..].copy_from_slice(PASSWORD);
    assert_eq!(group.sends(&bytes), found(Form::Raw));
}

#[test]
fn without_secrets_only_shapes_are_seen() {
    let mut group = Group::of(&[]);
    assert_eq!(group.sends(PASSWORD), Verdict::Clean);
    assert_eq!(group.sends(b"id=AKIAIOSFODNN7EXAMPLE\n"), Verdict::Shape(Shape::AwsKeyId));
}

#[test]
fn a_registered_secret_counts_more_than_a_shape_before_it() {
    let mut group = Group::of(&[PASSWORD]);
    let bytes = [b"id=AKIAIOSFODNN7EXAMPLE key=", PASSWORD].concat();
    assert_eq!(group.sends(&bytes), found(Form::Raw));
}

/// Tokens made up for this test, put together so that they do not stand in this file as such.
fn tokens() -> Vec<(Shape, String)> {
    let run = |length: usize| -> String { "aB3dE5gH7jK9mN".chars().cycle().take(length).collect() };
    let upper = "IOSFODNN7QXAMPLE".replace('1', "I");
    vec![
        (Shape::Jwt, format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{}", run(86))),
        (Shape::PrivateKey, format!("-----BEGIN RSA {} KEY-----\n{}", "PRIVATE", run(64))),
        (Shape::PrivateKey, format!("\"-----BEGIN {} KEY-----\\n{}", "PRIVATE", run(64))),
        (Shape::PrivateKey, format!("-----BEGIN OPENSSH {} KEY-----\r\n{}", "PRIVATE", run(70))),
        (Shape::AwsKeyId, format!("AKIA{upper}")),
        (Shape::AwsKeyId, format!("ASIA{upper}")),
        (Shape::GitHub, format!("ghp_{}", run(36))),
        (Shape::GitHub, format!("ghs_{}", run(36))),
        (Shape::GitHubFine, format!("github_pat_{}_{}", run(22), run(59))),
        (Shape::GitLab, format!("glpat-{}", run(20))),
        (Shape::Slack, format!("xoxb-123456789012-1234567890123-{}", run(24))),
        (Shape::SlackApp, format!("xapp-1-A0123456789-1234567890123-{}", run(64))),
        (Shape::Vault, format!("hvs.CAESI{}", run(80))),
        (Shape::Vault, format!("hvb.AAAAAQ{}", run(120))),
        (Shape::OpenBao, format!("s.{}", run(24))),
        (Shape::OpenBaoBatch, format!("b.AAAAAQ{}", run(140))),
        (Shape::Gcp, format!("{{\"type\": \"{}_account\", \"project_id\": \"p\"", "service")),
    ]
}

#[test]
fn each_shape_is_seen_at_any_offset_of_the_window() {
    let mut group = Group::of(&[PASSWORD]);
    let tokens = tokens();
    assert!(Shape::ALL.iter().all(|shape| tokens.iter().any(|(of, _)| of == shape)));
    for (shape, token) in tokens {
        for offset in [0, 1, 2, 3, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 1000, WINDOW - token.len()] {
            let mut bytes = vec![b' '; offset];
            bytes.extend(token.as_bytes());
            assert_eq!(group.sends(&bytes), Verdict::Shape(shape), "{token} at {offset}");
        }
    }
}

#[test]
fn what_only_begins_like_a_token_is_none() {
    let mut group = Group::of(&[PASSWORD]);
    for text in [
        "the class this.someVeryLongMethodName1X()",
        " s.aB3dE5gH7jK9mNaB3dE5gH7",
        " s.aB3dE5gH7jK9mNaB3dE5gH7jKx",
        " s.thisisalllowercaseletter",
        "xghp_aB3dE5gH7jK9mNaB3dE5gH7jK9mNaB3dE5gH7jK9",
        "ghp_short1",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJFUzI1NiJ9.payload",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A",
        "format!(\"-----BEGIN PRIVATE KEY-----\\n{}\", body)",
        "AKIAIOSFODNN7EXAMPLES",
        "the ASIAN market, ASIA PACIFIC",
        "{\"service_account\": {\"name\": \"default\"}}",
        "serviceaccount and service_account",
        "github_pat_",
        "glpat-xxx",
        "xoxo-hugs-and-kisses",
        "hvs.",
    ] {
        assert_eq!(group.sends(text.as_bytes()), Verdict::Clean, "{text}");
    }
}

#[test]
fn a_token_cut_off_by_the_end_of_the_window_is_none() {
    let mut group = Group::of(&[PASSWORD]);
    let token = format!("glpat-{}", "aB3dE5gH7jK9mNaB3dE5");
    let mut bytes = vec![b' '; WINDOW - token.len() + 1];
    bytes.extend(token.as_bytes());
    assert_eq!(group.sends(&bytes), Verdict::Clean);
    assert_eq!(group.sends(&bytes[1..]), Verdict::Shape(Shape::GitLab));
}

#[test]
fn what_openbao_hands_out_has_the_shape_of_its_tokens() {
    // Made by OpenBao's server in development mode, and gone with it.
    let mut group = Group::of(&[PASSWORD]);
    let service = ["s.", "obkHLqWQtH9bn0NDjhzAwmFK"].concat();
    assert_eq!(
        group.sends(format!("X-Vault-Token: {service}\r\n").as_bytes()),
        Verdict::Shape(Shape::OpenBao)
    );
    let batch = ["b.", "AAAAAQLnWNAJWg974-VgBYBasDPaQ2yCYdI_ZNkWlemTMxaf4P3P9WAdOfksc6v0lp5SOK0cnp1YKABH452g_rX09YGJ5LpdNglFdxAvrGPt6Zdb2M-IGgNQW-0FaK4l8qPEMsygy4XNUS7GzNPpzwVXqWH6351sxw"].concat();
    assert_eq!(group.sends(batch.as_bytes()), Verdict::Shape(Shape::OpenBaoBatch));
}
