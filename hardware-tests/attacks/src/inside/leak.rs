//! A secret on its way out: from the victim's memory to an outsider's hands, in every shape and by every call.
//!
//! The outsider listens, has the victim send, and compares what came. A shape that the product says it does not recognise is
//! a probe all the same: its place is the list of known limits.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::enforcer::{Ask, Said, needles};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{ordered, ways};
use crate::handshake::Enforcer;
use crate::kernel::Mapping;
use crate::told::{Found, absent, nothing, told};
use crate::victim::Holding;
use crate::{Outcome, Probe, Stage};

pub(super) const REGISTER: &str = "register";
pub(super) const PREFIX: &str = "leak:";

macro_rules! probes {
    ($($id:literal $way:literal $sink:ident $what:literal;)*) => {
        pub(crate) const PROBES: &[Probe] = &[$(
            Probe::new($id, "secret-leak", $what, |stage| told(leaked(stage, $way, Sink::$sink))),
        )*];
    };
}

probes! {
    "leak/write" "write" Pipe "write the secret to a pipe";
    "leak/write-file" "write" File "write it to a file";
    "leak/pwrite" "pwrite" File "pwrite it to a file";
    "leak/writev" "writev" Pipe "writev it, in the second of two parts";
    "leak/pwritev" "pwritev" File "pwritev it, in the second of two parts";
    "leak/write-socket" "write" Socket "write it to a socket";
    "leak/send" "send" Socket "send it";
    "leak/sendto" "sendto" Datagram "sendto it";
    "leak/sendmsg" "sendmsg" Socket "sendmsg it";
    "leak/sendmsg-second" "sendmsg-second" Socket "sendmsg it, in the second of two parts";
    "leak/sendmmsg" "sendmmsg" Socket "sendmmsg it, in the second message";
    "leak/embedded" "embedded" Pipe "in the middle of 3 KB of other text";
    "leak/base64-json" "base64-json" Socket "as base64 in a JSON document";
    "leak/base64-after-1" "base64-after-1" Pipe "as base64, with one byte before it";
    "leak/base64-after-2" "base64-after-2" Pipe "as base64, with two bytes before it";
    "leak/hex" "hex" Pipe "in hexadecimal digits";
    "leak/hex-upper" "hex-upper" Pipe "in upper case hexadecimal digits";
    "leak/beyond" "beyond" Pipe "behind 5 KB of other text";
    "leak/split" "split" Pipe "in two halves";
    "leak/xor" "xor" Pipe "with every bit turned over";
    "leak/untouched-page" "untouched-page" Pipe "from a page of a file that is not in memory yet";
    "leak/sendfile" "sendfile" Socket "sendfile of a file that it is in";
    "leak/splice" "splice" Pipe "splice of a file that it is in";
    "leak/vmsplice" "vmsplice" Pipe "vmsplice of its memory into a pipe";
    "leak/tee" "tee" Pipe "tee from a pipe of its own";
    "leak/mmap" "mmap" File "write it to the shared mapping of a file";
    "leak/process-vm-writev" "process-vm-writev" Memory "process_vm_writev into the memory of an outsider";
}

/// Where an outsider waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sink {
    Pipe,
    File,
    Socket,
    Datagram,
    Memory,
}

/// Registers, has the victim send, and looks what came.
fn leaked(stage: &Stage, way: &str, sink: Sink) -> Found {
    if let Some(socket) = stage.socket() {
        let said = ordered(stage, REGISTER, &socket.display().to_string());
        if !said.is_got() {
            return Err(absent(format!("the secret is not registered: {said:?}")));
        }
    }
    let path = stage.directory.join(format!("sink-{}", std::process::id()));
    let answer = received(stage, way, sink, &path);
    drop(fs::remove_file(&path));
    let (said, came) = answer?;
    let canary = &stage.victim.held().memory.canary;
    if ways::shapes(canary).iter().any(|shape| contains(&came, shape)) {
        return Ok(format!("the secret, by {way}"));
    }
    match said {
        Outcome::Denied(errno) => Err(io::Error::from_raw_os_error(errno)),
        Outcome::Impossible(why) => Err(absent(why)),
        other @ (Outcome::Got(_) | Outcome::Nothing(_) | Outcome::Killed(_)) => {
            Err(nothing(format!("{} bytes without it; the victim said {other:?}", came.len())))
        }
    }
}

fn contains(came: &[u8], shape: &[u8]) -> bool {
    came.windows(shape.len()).any(|window| window == shape)
}

fn received(stage: &Stage, way: &str, sink: Sink, path: &Path) -> io::Result<(Outcome, Vec<u8>)> {
    let said = |argument: &str| ordered(stage, &format!("{PREFIX}{way}"), argument);
    let mut came = Vec::new();
    let said = match sink {
        Sink::Pipe => {
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0)?;
            // For both, so that the victim's opening does not wait; what it writes stays until it is read.
            let mut hear = fs::OpenOptions::new().read(true).write(true).open(path)?;
            rustix::fs::fcntl_setfl(&hear, rustix::fs::OFlags::NONBLOCK)?;
            let said = said(&format!("pipe {}", path.display()));
            drained(&mut hear, &mut came)?;
            said
        }
        Sink::File => {
            fs::write(path, vec![b'.'; 4096])?;
            let said = said(&format!("file {}", path.display()));
            came = fs::read(path)?;
            said
        }
        Sink::Socket => {
            let listener = UnixListener::bind(path)?;
            let said = said(&format!("socket {}", path.display()));
            listener.set_nonblocking(true)?;
            let (mut hear, _) = listener.accept()?;
            hear.set_read_timeout(Some(Duration::from_millis(200)))?;
            drained(&mut hear, &mut came)?;
            said
        }
        Sink::Datagram => {
            let hear = std::os::unix::net::UnixDatagram::bind(path)?;
            hear.set_read_timeout(Some(Duration::from_millis(200)))?;
            let said = said(&format!("datagram {}", path.display()));
            let mut room = vec![0; 16 * 1024];
            let length = hear.recv(&mut room).unwrap_or(0);
            came.extend(room.iter().take(length));
            said
        }
        Sink::Memory => {
            let memory = Mapping::anonymous(4096)?;
            let said = said(&format!("memory {} {}", std::process::id(), memory.address()));
            came = memory.copy();
            said
        }
    };
    Ok((said, came))
}

fn drained(from: &mut impl io::Read, came: &mut Vec<u8>) -> io::Result<()> {
    match from.read_to_end(came) {
        Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => Ok(()),
        other => other.map(|_length| ()),
    }
}

/// In the victim's child: sends.
pub(super) fn perform(way: &str, argument: &str, holding: &Holding) -> Outcome {
    let mut words = argument.splitn(2, ' ');
    let (kind, place) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let secret = holding.told.memory.canary.as_bytes();
    let address = holding.told.memory.address;
    told(ways::send(way, kind, &PathBuf::from(place), &ways::Secret { bytes: secret, address }))
}

/// In the victim itself: tells the enforcer the fingerprints of its secret.
pub(super) fn register(socket: &str, holding: &Holding) -> Outcome {
    match registered(Path::new(socket), holding.told.memory.canary.as_bytes()) {
        Ok(count) => Outcome::got(format!("{count} needles are registered")),
        Err(why) => Outcome::impossible(why),
    }
}

fn registered(socket: &Path, secret: &[u8]) -> Result<usize, String> {
    let enforcer = Enforcer::at(socket)?;
    let mut key = [0; 32];
    hex::decode_to_slice(enforcer.confirm()?, &mut key).map_err(|error| format!("the key: {error}"))?;
    let needles = needles(&key, secret).map_err(|unfit| unfit.to_string())?;
    let count = needles.len();
    let said = enforcer.ask(&Ask::Register { needles })?;
    if said == (Said::Done {}) { Ok(count) } else { Err(format!("the enforcer said {said:?}")) }
}
