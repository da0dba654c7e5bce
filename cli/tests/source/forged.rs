//! Things that are no OpenBao: whatever they send, and however slowly, the answer is "could not look", and soon.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::server::free_port;
use crate::told::{Told, doctor};

/// Serves every connection with `answer`, until the test ends.
fn forged(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                // A client that goes away early is what is tested.
                drop(stream.read(&mut request).and_then(|_| answer(&mut stream)));
            });
        }
    });
    port
}

fn asked(scheme: &str, port: u16) -> Told {
    let address = format!("{scheme}://127.0.0.1:{port}");
    let environment = [("BAO_ADDR", address.as_str()), ("BAO_TOKEN", "s.canary-token")];
    let told = doctor(&environment, &["-o", "json", "--timeout", "1"]).ends(2);
    assert_eq!(told.json()["verdict"], "not-judged");
    assert!(!told.out.contains("canary") && !told.err.contains("canary"), "{told:?}");
    told
}

fn code(told: &Told) -> String {
    told.json()["error"]["code"].as_str().unwrap().to_owned()
}

fn header(stream: &mut TcpStream) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
}

#[test]
fn a_dead_address_is_not_judged() {
    let told = asked("http", free_port());
    assert_eq!(code(&told), "source.unreachable");
    let told = asked("https", free_port());
    assert_eq!(code(&told), "source.unreachable");
}

#[test]
fn garbage_is_not_openbao() {
    let told = asked("http", forged(|stream| stream.write_all(b"\x00\xff\x1b[2J garbage\r\n\r\n")));
    assert_eq!(code(&told), "source.unreachable");
    let told = asked("https", forged(|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    assert_eq!(code(&told), "source.unreachable");
}

#[test]
fn another_service_is_not_openbao() {
    for body in ["<html>hello</html>", "{}", "[]", r#"{"initialized":"yes"}"#] {
        // The body goes into a static function by its length.
        let answer: fn(&mut TcpStream) -> std::io::Result<()> = match body.len() {
            18 => |stream| reply(stream, "<html>hello</html>"),
            2 if body == "{}" => |stream| reply(stream, "{}"),
            2 => |stream| reply(stream, "[]"),
            _ => |stream| reply(stream, r#"{"initialized":"yes"}"#),
        };
        assert_eq!(code(&asked("http", forged(answer))), "source.not_openbao", "{body}");
    }
}

fn reply(stream: &mut TcpStream, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_body_without_end_is_cut_off() {
    let port = forged(|stream| {
        header(stream)?;
        let chunk = [b"10000\r\n".as_slice(), &b" ".repeat(0x10000), b"\r\n"].concat();
        loop {
            stream.write_all(&chunk)?;
        }
    });
    let told = asked("http", port);
    assert_eq!(told.json()["error"]["message"], "an answer of more than 4194304 bytes");
}

#[test]
fn a_header_without_end_is_cut_off() {
    let port = forged(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"X-More: and more\r\n")?;
        }
    });
    assert_eq!(code(&asked("http", port)), "source.unreachable");
}

#[test]
fn a_huge_announced_body_is_not_waited_for() {
    let port = forged(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{")?;
        std::thread::sleep(Duration::from_mins(1));
        Ok(())
    });
    assert_eq!(code(&asked("http", port)), "source.unreachable");
}

#[test]
fn silence_and_slowness_have_an_end() {
    let silent = forged(|_| {
        std::thread::sleep(Duration::from_mins(1));
        Ok(())
    });
    assert_eq!(code(&asked("http", silent)), "source.unreachable");
    assert_eq!(code(&asked("https", silent)), "source.unreachable");
    // A byte now and then keeps no deadline away: not of HTTP, not of TLS.
    let slow = forged(|stream| {
        header(stream)?;
        loop {
            stream.write_all(b"1\r\n \r\n")?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(code(&asked("http", slow)), "source.unreachable");
    let dripping = forged(|stream| {
        stream.write_all(&[22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb, 3, 3])?;
        loop {
            stream.write_all(&[0])?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(code(&asked("https", dripping)), "source.unreachable");
}

#[test]
fn a_server_that_answers_slowly_and_lists_much_does_not_keep_us() {
    let port = forged(|stream| {
        // Health, and a thousand of whatever is listed.
        let names: Vec<String> = (0..1000).map(|number| format!("\"n{number}\"")).collect();
        let (head, tail) =
            (r#"{"initialized":true,"sealed":false,"version":"2.7.2","server_time_utc":1"#, "}}");
        let body = format!("{head},\"data\":{{\"policy\":\"\",\"keys\":[{}]{tail}", names.join(","));
        let mut request = [0; 4096];
        loop {
            std::thread::sleep(Duration::from_millis(400));
            reply(stream, &body)?;
            if stream.read(&mut request)? == 0 {
                return Ok(());
            }
        }
    });
    let address = format!("http://127.0.0.1:{port}");
    let environment = [("BAO_ADDR", address.as_str()), ("BAO_TOKEN", "s.canary-token")];
    let told = doctor(&environment, &["-o", "json", "--timeout", "1"]).ends(1);
    let unknown = &told.with("unknown")["source.policies.sudo"];
    assert!(unknown.ends_with(": no time left to ask: the server is slow"), "{unknown}");
}

#[test]
fn no_token_goes_in_clear_to_another_machine() {
    // Linux takes this for itself, but it is not an address of this machine alone.
    let port = forged(|_| Ok(()));
    let address = format!("http://0.0.0.0:{port}");
    let environment = [("BAO_ADDR", address.as_str()), ("BAO_TOKEN", "s.canary-token")];
    let told = doctor(&environment, &["-o", "json", "--timeout", "1"]).ends(1);
    assert_eq!(told.ids("fail"), ["source.tls.certificate", "source.tls.listener", "source.tls.version"]);
    let unknown = &told.with("unknown")["source.audit.enabled"];
    assert_eq!(unknown, "not seen: nothing was asked in plain HTTP of another machine");
}

#[test]
fn a_redirect_is_not_followed_and_takes_no_token_along() {
    let port = forged(|stream| {
        stream.write_all(
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        )
    });
    assert_eq!(code(&asked("http", port)), "source.not_openbao");
}

#[test]
fn settings_that_cannot_be_meant_are_told_and_never_repeated() {
    let told = doctor(&[("BAO_ADDR", "s.canary-token")], &[]).ends(2);
    assert_eq!(
        told.err,
        "not judged: BAO_ADDR: expected https://HOST[:PORT] or http://HOST[:PORT], found neither at its beginning \
         (source.settings)\n"
    );
}
