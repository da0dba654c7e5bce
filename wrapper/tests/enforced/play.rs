//! An enforcer, played by a thread: it says what it is told to, and remembers who asked what.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::enforcer::{Ask, Defence, MAX_PACKET, Matrix, Needle, Said, Verified};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, shutdown, socket_with,
};

const VECTORS: [&str; 7] =
    ["proc-mem", "environ", "proc-view", "descriptor-open", "ptrace", "process-vm", "pidfd-getfd"];

/// How it answers.
#[derive(Clone)]
pub(crate) enum Part {
    /// As the real one does, with this matrix.
    Whole(Matrix),
    /// It refuses to protect anybody.
    Refuses,
    /// Not at all.
    Silent,
}

#[derive(Default)]
struct Seen {
    asked: Vec<(i32, &'static str)>,
    tagged: BTreeSet<i32>,
    needles: Vec<Needle>,
    lines: Vec<OwnedFd>,
}

pub(crate) struct Enforcer {
    path: PathBuf,
    seen: Arc<Mutex<Seen>>,
    listener: Arc<OwnedFd>,
}

pub(crate) fn matrix(mode: &str, tier: &str, verified: Verified) -> Matrix {
    let defence = |vector: &str| Defence {
        vector: vector.to_owned(),
        event: vector.to_uppercase(),
        tier: tier.to_owned(),
        mode: mode.to_owned(),
        verified,
        why: None,
    };
    let vectors = VECTORS.into_iter().map(defence).collect();
    let (kernel, programs) = ("6.12".to_owned(), "ab".repeat(32));
    Matrix { mode: mode.to_owned(), kernel, programs, vectors }
}

impl Enforcer {
    pub(crate) fn play(path: &Path, part: Part) -> Self {
        Self::with(path, part, Arc::default())
    }

    fn with(path: &Path, part: Part, seen: Arc<Mutex<Seen>>) -> Self {
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&listener, 16).unwrap();
        let listener = Arc::new(listener);
        let (door, book) = (Arc::clone(&listener), Arc::clone(&seen));
        thread::spawn(move || {
            while let Ok(line) = accept_with(&*door, SocketFlags::CLOEXEC) {
                let (part, book) = (part.clone(), Arc::clone(&book));
                book.lock().unwrap().lines.push(line.try_clone().unwrap());
                thread::spawn(move || serve(&line, &part, &book));
            }
        });
        Self { path: path.to_owned(), seen, listener }
    }

    /// Who asked what, in order.
    pub(crate) fn asked(&self) -> Vec<(i32, &'static str)> {
        self.seen.lock().unwrap().asked.clone()
    }

    pub(crate) fn needles(&self) -> Vec<Needle> {
        self.seen.lock().unwrap().needles.clone()
    }

    /// It ends, with all its lines.
    pub(crate) fn end(&self) {
        shutdown(&*self.listener, Shutdown::Both).unwrap();
        std::fs::remove_file(&self.path).unwrap();
        for line in self.seen.lock().unwrap().lines.drain(..) {
            // Whoever asked has gone already.
            shutdown(&line, Shutdown::Both).unwrap_or_default();
        }
    }

    /// Another one in its place, who knows whom it has tagged.
    pub(crate) fn again(&self, part: Part) -> Self {
        Self::with(&self.path, part, Arc::clone(&self.seen))
    }
}

impl Drop for Enforcer {
    fn drop(&mut self) {
        shutdown(&*self.listener, Shutdown::Both).unwrap_or_default();
    }
}

fn serve(line: &OwnedFd, part: &Part, book: &Mutex<Seen>) {
    let pid = socket_peercred(line).unwrap().pid.as_raw_pid();
    let came_tagged = book.lock().unwrap().tagged.contains(&pid);
    let mut packet = vec![0; MAX_PACKET];
    while let Ok((length, _)) = recv(line, &mut packet[..], RecvFlags::empty()) {
        if length == 0 {
            return;
        }
        let ask: Ask = serde_json::from_slice(&packet[..length]).unwrap();
        let mut seen = book.lock().unwrap();
        let Part::Whole(matrix) = part else {
            seen.asked.push((pid, "?"));
            if matches!(part, Part::Refuses) {
                let said = if ask == (Ask::Confirm {}) {
                    Said::Unprotected {}
                } else {
                    Said::Refused { why: "not today".to_owned() }
                };
                send(line, &serde_json::to_vec(&said).unwrap(), SendFlags::NOSIGNAL).unwrap();
            }
            continue;
        };
        let said = match ask {
            Ask::Confirm {} if came_tagged => {
                seen.asked.push((pid, "confirm"));
                let looked = vec!["tag".to_owned(), "tracer".to_owned()];
                Said::Clear { key: "07".repeat(32), looked, matrix: matrix.clone() }
            }
            Ask::Confirm {} => {
                seen.asked.push((pid, "confirm"));
                Said::Unprotected {}
            }
            Ask::Protect {} => {
                seen.asked.push((pid, "protect"));
                seen.tagged.insert(pid);
                Said::Tagged {}
            }
            Ask::Register { needles } => {
                seen.asked.push((pid, "register"));
                seen.needles.extend(needles);
                Said::Done {}
            }
            Ask::Keep {} => Said::Done {},
            Ask::Matrix {} | Ask::Watch {} | Ask::ConfirmGuards {} => {
                Said::Refused { why: "root alone".to_owned() }
            }
        };
        send(line, &serde_json::to_vec(&said).unwrap(), SendFlags::NOSIGNAL).unwrap();
    }
}
