//! The process by itself: the handshake line, sockets, strangers, and life without a host.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P521_SHA512};

use crate::server::{eventually, example, lives, signal};

/// A plugin started as OpenBao would, and its handshake line.
fn start(socket_dir: Option<&Path>) -> (Child, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
    let host = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut command = Command::new(example("notes"));
    command.env("VAULT_BACKEND_PLUGIN", "6669da05-b1c8-4f49-97d9-c8e5bed98e20");
    command.env("PLUGIN_PROTOCOL_VERSIONS", "5").env("PLUGIN_CLIENT_CERT", host.pem());
    if let Some(dir) = socket_dir {
        command.env("PLUGIN_UNIX_SOCKET_DIR", dir);
    }
    let mut plugin = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(plugin.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (plugin, line)
}

fn stop(mut plugin: Child) -> String {
    signal("TERM", plugin.id());
    let mut log = String::new();
    plugin.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(plugin.wait().unwrap().success());
    log
}

#[test]
fn a_program_started_by_hand_says_what_it_is_and_fails() {
    let output = Command::new(example("notes")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("this program is an OpenBao plugin"));
    assert_eq!(output.stdout, b"");
}

#[test]
fn the_handshake_names_an_abstract_socket_that_leaves_no_file() {
    let (plugin, line) = start(None);
    let fields: Vec<&str> = line.trim_end().split('|').collect();
    assert_eq!((fields.len(), &fields[..3], fields[4]), (6, &["1", "5", "unix"][..], "grpc"), "{line}");
    assert!(fields[3].starts_with("@openbao-plugin-"), "{line}");
    let name = std::fs::read_to_string(format!("/proc/{}/comm", plugin.id())).unwrap();
    assert_eq!(name, "notes\n");
    assert!(!fields[5].ends_with('=') && fields[5].len() > 50, "{line}");
    assert!(stop(plugin).contains("terminated by signal"));
}

#[test]
fn a_socket_directory_is_honoured_and_left_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (plugin, line) = start(Some(dir.path()));
    let socket = Path::new(line.split('|').nth(3).unwrap());
    assert!(socket.starts_with(dir.path()) && socket.exists(), "{line}");
    stop(plugin);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_stranger_who_says_nothing_useful_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (plugin, line) = start(Some(dir.path()));
    let mut stranger = std::os::unix::net::UnixStream::connect(line.split('|').nth(3).unwrap()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    std::io::Write::write_all(&mut stranger, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    // An alert at most, then the end.
    let mut answer = Vec::new();
    drop(stranger.read_to_end(&mut answer));
    assert!(answer.len() < 16, "{answer:?}");
    assert!(stop(plugin).contains("connection without the host's certificate refused"));
}

/// The host kills only plugins whose TLS was completed, so this one is on its own.
#[test]
fn a_plugin_whose_parent_dies_before_it_connects_ends() {
    let script = r#""$0" >"$OUT" 2>&1 & echo $!; read line; kill -9 $$"#;
    let out = tempfile::NamedTempFile::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let host = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut parent = Command::new("sh")
        .args(["-c", script])
        .arg(example("notes"))
        .env("OUT", out.path())
        .env("VAULT_BACKEND_PLUGIN", "6669da05-b1c8-4f49-97d9-c8e5bed98e20")
        .env("PLUGIN_PROTOCOL_VERSIONS", "5")
        .env("PLUGIN_CLIENT_CERT", host.pem())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut plugin = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut plugin).unwrap();
    let plugin = plugin.trim().parse().unwrap();
    let said = || std::fs::read_to_string(out.path()).unwrap();
    eventually("the handshake", || said().contains("|grpc|"));
    assert!(lives(plugin));
    drop(parent.stdin.take());
    parent.wait().unwrap();
    eventually("the plugin's end", || !lives(plugin));
    assert!(said().contains("parent process ended"), "{}", said());
}
