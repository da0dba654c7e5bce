//! `evidence log export`, against a server that tells what the test wants it to tell.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use attest::log::{DecisionId, Event};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::release_log::{Archive, Signer, record, release};
use crate::run::{Ran, cloudtaser};

/// Answers by path, and says 404 to everything else.
#[derive(Clone)]
struct Server {
    address: String,
    answers: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, answers: Arc::default() };
        let answering = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answering = answering.clone();
                std::thread::spawn(move || answering.serve(&stream));
            }
        });
        server
    }

    /// Serves what is in this log's directory.
    fn publish(&self, archive: &Archive) {
        let mut answers = BTreeMap::new();
        files(archive.dir.path(), archive.dir.path(), &mut answers);
        let prefixed = answers.into_iter().map(|(path, bytes)| (format!("log/{path}"), bytes));
        *self.answers.lock().unwrap() = prefixed.collect();
    }

    fn publish_record(&self, decision: DecisionId, file: &[u8]) {
        let body = json!({ "data": { "bundle": STANDARD.encode(file), "verifier_key_id": "", "index": 0 } });
        self.set(&format!("record/{decision}"), body.to_string().into_bytes());
    }

    fn set(&self, path: &str, bytes: Vec<u8>) {
        self.answers.lock().unwrap().insert(path.to_owned(), bytes);
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut lines = Vec::new();
            for line in reader.by_ref().lines() {
                let line = line.ok()?;
                if line.is_empty() {
                    break;
                }
                lines.push(line);
            }
            let path = lines.first()?.split(' ').nth(1)?.strip_prefix("/v1/attest-keys/")?.to_owned();
            let trusted = lines.iter().any(|line| line.eq_ignore_ascii_case("x-vault-token: s.reader"));
            let found = self.answers.lock().unwrap().get(&path).cloned();
            let (status, body) = match found {
                _ if !trusted => ("403 Forbidden", br#"{"errors":["permission denied"]}"#.to_vec()),
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", br#"{"errors":[]}"#.to_vec()),
            };
            let mut stream = stream;
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        }
    }

    fn command(&self, dir: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser"));
        let key = Signer::log().vkey();
        command.args(["evidence", "log", "export", dir.to_str().unwrap(), "--address", &self.address]);
        command.args(["--key", &key]).args(more).env("BAO_TOKEN", "s.reader").stdin(Stdio::null());
        command
    }

    fn export(&self, dir: &Path, more: &[&str]) -> Ran {
        ran(&mut self.command(dir, more))
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    Ran { code: output.status.code().unwrap_or(-1), out, err }
}

fn files(root: &Path, folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files(root, &path, into);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            into.insert(name, std::fs::read(path).unwrap());
        }
    }
}

fn verify(dir: &Path) -> Ran {
    cloudtaser(&["evidence", "log", "verify", dir.to_str().unwrap(), "--key", &Signer::log().vkey()])
}

fn indices(lines: &str) -> Vec<u64> {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
    lines.lines().map(line).collect()
}

/// A log with this many releases, and a server that serves it.
fn grown(archive: &mut Archive, server: &Server, until: u64) {
    while archive.size() < until {
        archive.log(release(archive.size()));
    }
    archive.commit();
    server.publish(archive);
}

#[test]
fn a_directory_follows_a_log_that_grows() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    let mut before = 0;
    for size in [0, 1, 3, 255, 256, 257, 300, 600, 600, 1024] {
        grown(&mut archive, &server, size);
        let ran = server.export(dir.path(), &["--print"]).ends(0);
        assert_eq!(indices(&ran.out), (before..size).collect::<Vec<_>>());
        let (path, new) = (dir.path().display(), size - before);
        let told = format!(
            "ACCEPTED: {size} entries of bao.example/attest-keys in {path}, {new} of them new, {new} of these without \
             record\n"
        );
        assert_eq!(ran.err, told);
        verify(dir.path()).ends(0);
        before = size;
    }
    // What the directory holds is what a server of that size has, and no more.
    let [mut held, mut expected] = [BTreeMap::new(), BTreeMap::new()];
    files(dir.path(), dir.path(), &mut held);
    files(archive.dir.path(), archive.dir.path(), &mut expected);
    held.remove(".lock");
    expected.retain(|path, _| !path.contains(".p/") || path.ends_with("tile/1/000.p/4"));
    assert_eq!(held, expected);
}

#[test]
fn nothing_logged_yet_is_nothing_to_refuse() {
    let (server, dir) = (Server::new(), TempDir::new().unwrap());
    let ran = server.export(dir.path(), &[]).ends(0);
    assert_eq!(ran.out, "ACCEPTED: nothing was logged yet\n");
}

#[test]
fn records_come_along_and_are_those_that_were_logged() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 3);
    for number in [0, 2] {
        server.publish_record(release(number).decision, &record(number));
    }
    let json = server.export(dir.path(), &["-o", "json"]).ends(0).json();
    assert_eq!(
        (&json["step"], &json["size"], &json["without_record"]),
        (&"kept".into(), &3.into(), &1.into())
    );
    assert!(verify(dir.path()).ends(0).out.contains("2 as logged, 1 not in the directory"));
    grown(&mut archive, &server, 5);
    server.publish_record(release(3).decision, &record(4));
    let ran = server.export(dir.path(), &[]).ends(1);
    assert!(ran.out.contains("the record of entry 3 is another file"), "{}", ran.out);
    server.export(dir.path(), &["--no-records"]).ends(0);
}

/// An audit that goes on does not see that a decision was logged before; its record is still there to say so.
#[test]
fn a_decision_that_is_logged_again_does_not_take_its_first_record_away() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 2);
    let decision = release(0).decision;
    server.publish_record(decision, &record(0));
    server.export(dir.path(), &[]).ends(0);
    archive.log(Event { record: release(7).record, ..release(0) });
    grown(&mut archive, &server, 3);
    server.publish_record(decision, &record(7));
    let ran = server.export(dir.path(), &[]).ends(1);
    assert!(ran.out.contains("the record of entry 2 is another file"), "{}", ran.out);
    assert_eq!(std::fs::read(dir.path().join(format!("records/{decision}.cbor"))).unwrap(), record(0));
}

#[test]
fn a_log_that_was_written_anew_does_not_come_in() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 270);
    server.export(dir.path(), &[]).ends(0);
    let mut other = Archive::new();
    other.log(release(1000));
    grown(&mut other, &server, 300);
    let ran = server.export(dir.path(), &["--print"]).ends(1);
    assert_eq!(ran.out, "", "nothing is printed of a fork");
    assert!(ran.err.contains("REFUSED: the directory stays as it was"), "{}", ran.err);
    assert!(ran.err.contains("entry 256 was edited"), "{}", ran.err);
    assert!(verify(dir.path()).ends(0).out.contains("270 entries"));
    assert!(dir.path().join("refused/checkpoint").exists());
    // The same at the same size, and at a smaller one.
    for size in [270, 100] {
        let mut other = Archive::new();
        other.log(release(1000));
        grown(&mut other, &server, size);
        let ran = server.export(dir.path(), &[]).ends(1);
        assert!(ran.out.contains(&format!("fork: the first {size} entries had another root")), "{}", ran.out);
    }
    grown(&mut archive, &server, 271);
    server.export(dir.path(), &[]).ends(0);
}

#[test]
fn a_log_that_shrank_is_told_from_one_that_was_rewritten() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 270);
    server.export(dir.path(), &[]).ends(0);
    grown(&mut Archive::new(), &server, 260);
    let ran = server.export(dir.path(), &[]).ends(1);
    let start = "REFUSED: expected at least 270 entries, found 260, the first of those in ";
    assert!(ran.out.starts_with(start), "{}", ran.out);
    assert!(verify(dir.path()).ends(0).out.contains("270 entries"));
}

#[test]
fn an_entry_that_is_edited_on_the_way_does_not_come_in() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 4);
    let path = "log/tile/entries/000.p/4";
    let mut bytes = server.answers.lock().unwrap()[path].clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    server.set(path, bytes);
    let ran = server.export(dir.path(), &["-o", "json"]).ends(1);
    let json = ran.json();
    assert_eq!((&json["step"], &json["check"]["id"]), (&"refused".into(), &"log.entries".into()));
    assert!(!dir.path().join("checkpoint").exists());
    server.publish(&archive);
    server.export(dir.path(), &[]).ends(0);
}

#[test]
fn an_earlier_checkpoint_is_held_against_all_that_comes() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    let mut other = Archive::new();
    other.log(release(1000));
    grown(&mut other, &server, 3);
    let kept = other.dir.path().join("checkpoint");
    let since = ["--since", kept.to_str().unwrap()];
    grown(&mut archive, &server, 2);
    let ran = server.export(dir.path(), &since).ends(1);
    assert!(ran.out.contains("the log shrank: expected at least 3 entries, found 2"), "{}", ran.out);
    server.export(dir.path(), &[]).ends(0);
    grown(&mut archive, &server, 5);
    for size in [5, 8] {
        let ran = server.export(dir.path(), &since).ends(1);
        assert!(ran.out.contains("fork: the first 3 entries had another root"), "{}", ran.out);
        server.export(dir.path(), &[]).ends(0);
        grown(&mut archive, &server, size);
    }
}

/// A directory that was set back together with its server knows of nothing; the checkpoint that was kept elsewhere does.
#[test]
fn a_server_that_was_set_back_with_the_directory_is_behind_the_checkpoint_that_was_kept() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 2);
    server.export(dir.path(), &[]).ends(0);
    let mut longer = Archive::new();
    grown(&mut longer, &server, 3);
    grown(&mut archive, &server, 2);
    let kept = longer.dir.path().join("checkpoint");
    let ran = server.export(dir.path(), &["--since", kept.to_str().unwrap()]).ends(1);
    assert!(ran.out.contains("the log shrank: expected at least 3 entries, found 2"), "{}", ran.out);
}

/// Tiles of a directory are believed when the log grows, so a server must not put a wrong one in the place of a right one.
#[test]
fn a_tile_that_is_wrong_where_the_directory_knows_better_does_not_come_in() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 3);
    server.export(dir.path(), &[]).ends(0);
    grown(&mut archive, &server, 5);
    let path = "log/tile/0/000.p/5";
    let mut tile = server.answers.lock().unwrap()[path].clone();
    tile[0] ^= 1;
    server.set(path, tile);
    let json = server.export(dir.path(), &["-o", "json"]).ends(1).json();
    assert_eq!((&json["step"], &json["check"]["id"]), (&"refused".into(), &"log.tiles".into()));
    verify(dir.path()).ends(0);
    server.publish(&archive);
    server.export(dir.path(), &[]).ends(0);
}

#[test]
fn a_cosignature_that_is_held_is_not_given_for_more_signatures_of_nobody() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 3);
    server.export(dir.path(), &[]).ends(0);
    let file = |path: &Path| std::fs::read_to_string(path).unwrap();
    let held = dir.path().join("checkpoint");
    let plain = file(&held);
    let text = plain.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let witness = Signer::witness(1);
    std::fs::write(&held, plain.clone() + &witness.cosign(&text, 1)).unwrap();
    let nobody = ["— a AAAAAAAA\n", "— b AAAAAAAA\n"].concat();
    server.set("log/checkpoint", (plain.clone() + &nobody).into_bytes());
    server.export(dir.path(), &[]).ends(0);
    assert!(file(&held).contains("witness.example/w1"), "{}", file(&held));
    let second = Signer::witness(2).cosign(&text, 1);
    let more = plain + &witness.cosign(&text, 1) + &second;
    server.set("log/checkpoint", more.clone().into_bytes());
    server.export(dir.path(), &[]).ends(0);
    assert_eq!(file(&held), more);
}

#[test]
fn without_a_token_or_a_server_nothing_is_judged() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 2);
    let ran_as = |token| ran(server.command(dir.path(), &[]).env("BAO_TOKEN", token)).ends(2);
    let denied = "not judged: not seen: this token may not read attest-keys/log/checkpoint (log.server)\n";
    assert_eq!(ran_as("s.other").err, denied);
    let gone = server.export(dir.path(), &["--address", "http://127.0.0.1:1"]);
    assert_eq!(gone.code, 2);
    let ran = server.export(dir.path(), &["--mount", "../sys"]).ends(2);
    assert!(ran.err.contains("expected the path of a mount"), "{}", ran.err);
    server.set("log/checkpoint", b"<html>".to_vec());
    let ran = server.export(dir.path(), &[]).ends(2);
    assert!(ran.err.contains("(log.checkpoint.malformed)"), "{}", ran.err);
}

#[test]
fn a_directory_that_was_tampered_with_is_not_continued() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 4);
    server.export(dir.path(), &[]).ends(0);
    grown(&mut archive, &server, 6);
    let path = dir.path().join("tile/0/000.p/4");
    let mut tile = std::fs::read(&path).unwrap();
    tile[0] ^= 1;
    std::fs::write(&path, tile).unwrap();
    let ran = server.export(dir.path(), &[]).ends(2);
    assert!(ran.err.contains("the directory does not hold what its checkpoint says"), "{}", ran.err);
}

#[test]
fn two_do_not_write_to_one_directory() {
    let (server, dir) = (Server::new(), TempDir::new().unwrap());
    let lock = std::fs::File::create(dir.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let ran = server.export(dir.path(), &[]).ends(2);
    assert!(ran.err.ends_with("(log.export.busy)\n"), "{}", ran.err);
}

#[test]
fn following_prints_what_comes_and_ends_at_a_fork() {
    let (server, mut archive, dir) = (Server::new(), Archive::new(), TempDir::new().unwrap());
    grown(&mut archive, &server, 2);
    let mut command = server.command(dir.path(), &["--follow", "--print", "--interval", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || indices(&lines.next().unwrap().unwrap());
    assert_eq!((next(), next()), (vec![0], vec![1]));
    grown(&mut archive, &server, 3);
    assert_eq!(next(), [2]);
    let mut other = Archive::new();
    other.log(release(1000));
    grown(&mut other, &server, 4);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(lines.next().is_none());
}
