//! Somebody between a custodian and a machine: carries words, and changes them.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::unseal::{
    MAX_REPLY, Offer, Reply, Request, Share, body_length, parse_reply, parse_request, to_frame,
};

/// What is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lie {
    None,
    /// The evidence is over an earlier nonce.
    Replay,
    /// The key is the liar's own.
    SwapKey,
    /// The machine waits for others.
    OtherSet,
    /// Not a message.
    Nonsense,
}

/// A socket where the liar listens, and the shares that came to it.
pub(crate) fn liar(machine: &Path, lie: Lie) -> (PathBuf, Arc<Mutex<Vec<Share>>>) {
    let socket = machine.with_extension(format!("{lie:?}"));
    let listener = UnixListener::bind(&socket).unwrap();
    let (shares, machine) = (Arc::default(), machine.to_owned());
    let taken: Arc<Mutex<Vec<Share>>> = Arc::clone(&shares);
    thread::spawn(move || {
        for line in listener.incoming() {
            serve(line.unwrap(), &machine, lie, &taken);
        }
    });
    (socket, shares)
}

/// The machine's code for a share that is played again.
pub(crate) fn send(machine: &Path, share: &Share) -> String {
    failed(ask(machine, &Request::Share(share.clone())))
}

pub(crate) fn send_nonsense(machine: &Path) -> String {
    let mut line = UnixStream::connect(machine).unwrap();
    line.write_all(&[0, 0, 0, 1, 0xff]).unwrap();
    failed(parse_reply(&body(&mut line)).unwrap())
}

fn failed(reply: Reply) -> String {
    match reply {
        Reply::Failed(failure) => failure.code,
        Reply::Evidence(_) | Reply::Taken(_) => "taken".to_owned(),
    }
}

fn serve(mut caller: UnixStream, machine: &Path, lie: Lie, shares: &Mutex<Vec<Share>>) {
    let mut request = parse_request(&body(&mut caller)).unwrap();
    if let Request::Share(share) = &request {
        shares.lock().unwrap().push(share.clone());
    }
    if let (Request::Evidence(demand), Lie::Replay) = (&mut request, lie) {
        demand.nonce = [1; 32];
    }
    let reply = match (ask(machine, &request), lie) {
        (Reply::Evidence(offer), Lie::SwapKey) => {
            let key = custody::share::public_of(&[3; 32]);
            Reply::Evidence(Offer { key, ..offer })
        }
        (Reply::Evidence(offer), Lie::OtherSet) => Reply::Evidence(Offer { set: [9; 32], ..offer }),
        (reply, _) => reply,
    };
    let frame = if lie == Lie::Nonsense { vec![0, 0, 0, 1, 0xff] } else { to_frame(&reply).unwrap() };
    caller.write_all(&frame).unwrap();
}

fn ask(machine: &Path, request: &Request) -> Reply {
    let mut line = UnixStream::connect(machine).unwrap();
    line.write_all(&to_frame(request).unwrap()).unwrap();
    parse_reply(&body(&mut line)).unwrap()
}

fn body(line: &mut UnixStream) -> Vec<u8> {
    let mut header = [0; 4];
    line.read_exact(&mut header).unwrap();
    let mut body = vec![0; body_length(header, MAX_REPLY).unwrap()];
    line.read_exact(&mut body).unwrap();
    body
}
