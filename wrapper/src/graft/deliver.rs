//! How secret memory gets from here into a stopped process.
//!
//! No descriptor is inherited, so none lies open in a shell on the way. At the moment of the graft the
//! values are laid out in fresh secret memory; the tracee connects to a socket that exists for this purpose,
//! receives the descriptor, maps it and closes it. Root's `pidfd_getfd(2)` finds it for microseconds only.
//!
//! Trusted: the kernel's word on who connects. Untrusted: whoever else finds the socket; it is sent away.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, accept_with, bind, listen, sendmsg, socket_with,
};
use rustix::process::Pid;
use rustix::rand::{GetRandomFlags, getrandom};

use super::inject::{Session, Tracee};
use super::{Error, kernel};

/// Where in the scratch area each argument lies. All offsets are multiples of a word.
mod layout {
    /// `struct msghdr`, 56 bytes.
    pub(super) const MESSAGE: u64 = 0;
    /// `struct iovec`, 16 bytes.
    pub(super) const VECTOR: u64 = 56;
    /// One byte of data in one word.
    pub(super) const DATA: u64 = 72;
    /// `struct cmsghdr` and one descriptor: `CMSG_SPACE(4)`, 24 bytes.
    pub(super) const CONTROL: u64 = 80;
    pub(super) const CONTROL_LEN: u64 = 24;
    /// `struct sockaddr_un`: family, a NUL for "abstract", 32 hex digits.
    pub(super) const ADDRESS: u64 = 104;
    pub(super) const ADDRESS_LEN: u64 = 2 + 1 + 32;
}

/// Maps `fd`, `len` bytes long, into the tracee; returns the address there.
pub(super) fn deliver(tracee: Tracee, session: &mut Session, fd: OwnedFd, len: usize) -> Result<u64, Error> {
    let door = Door::open().map_err(socket("opening a socket"))?;
    let scratch = session.scratch();
    write_arguments(tracee, scratch, &door.name)?;
    let at = |offset: u64| u64::try_from(scratch).unwrap_or(u64::MAX).saturating_add(offset);

    // A crowd before the door must not hold the program up: not blocking, `connect` fails instead.
    let kind = unsigned(libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let line = session.call("socket", libc::SYS_socket, [unsigned(libc::AF_UNIX), kind, 0, 0, 0, 0])?;
    let name = [line, at(layout::ADDRESS), layout::ADDRESS_LEN, 0, 0, 0];
    session.call("connect", libc::SYS_connect, name)?;
    door.hand_over(tracee.pid, &fd)?;
    drop(fd);
    let flags = unsigned(libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT);
    session.call("recvmsg", libc::SYS_recvmsg, [line, at(layout::MESSAGE), flags, 0, 0, 0])?;
    let received = received_descriptor(tracee, scratch)?;
    session.call("close", libc::SYS_close, [line, 0, 0, 0, 0, 0])?;
    let protection = unsigned(libc::PROT_READ | libc::PROT_WRITE);
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    let address = session.call(
        "mmap",
        libc::SYS_mmap,
        [0, len, protection, unsigned(libc::MAP_SHARED), received, 0],
    )?;
    session.call("close", libc::SYS_close, [received, 0, 0, 0, 0, 0])?;
    Ok(address)
}

/// Strangers who may stand before the door at once. Whoever shares our network namespace reads the name in
/// `/proc/net/unix`; more than this many cannot come in the microseconds before the program does.
const CROWD: i32 = 4096;

/// A listening socket with a name that nobody can guess.
struct Door {
    listener: OwnedFd,
    name: [u8; 32],
}

impl Door {
    fn open() -> io::Result<Self> {
        let mut random = [0_u8; 16];
        if getrandom(&mut random, GetRandomFlags::empty())? != random.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut name = [0_u8; 32];
        for (digit, value) in name.iter_mut().zip(random.iter().flat_map(|byte| [byte >> 4, byte & 0xf])) {
            *digit = if value < 10 {
                b'0'.saturating_add(value)
            } else {
                b'a'.saturating_add(value.saturating_sub(10))
            };
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&listener, &SocketAddrUnix::new_abstract_name(&name)?)?;
        listen(&listener, CROWD)?;
        Ok(Self { listener, name })
    }

    /// Sends the descriptor to `pid`, which has connected.
    fn hand_over(&self, pid: Pid, fd: &OwnedFd) -> Result<(), Error> {
        loop {
            let line = accept_with(&self.listener, SocketFlags::CLOEXEC)
                .map_err(|error| socket("accepting the program")(error.into()))?;
            let peer = kernel::peer(line.as_fd()).map_err(socket("asking who connects"))?;
            if peer == pid.as_raw_pid() {
                return send(&line, fd).map_err(socket("sending the memory"));
            }
        }
    }
}

fn send(line: &OwnedFd, fd: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [fd.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(line, &[IoSlice::new(b".")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Lays out the arguments of `connect` and `recvmsg` on the tracee's stack.
fn write_arguments(tracee: Tracee, scratch: usize, name: &[u8; 32]) -> Result<(), Error> {
    let base = u64::try_from(scratch).unwrap_or(u64::MAX);
    let at = |offset: u64| base.saturating_add(offset);
    let mut bytes = Vec::with_capacity(144);
    // msghdr: name, its length, vector, its length, control, its length, flags (recvmsg(2)).
    for word in [0, 0, at(layout::VECTOR), 1, at(layout::CONTROL), layout::CONTROL_LEN, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [at(layout::DATA), 1_u64, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(u16::try_from(libc::AF_UNIX).unwrap_or(0).to_le_bytes());
    bytes.push(0);
    bytes.extend(name);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    for (index, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
        tracee.set_word(scratch.saturating_add(index.saturating_mul(8)), u64::from_le_bytes(*word))?;
    }
    Ok(())
}

/// Reads the number that the descriptor has in the tracee (cmsg(3): length, level, type, data).
fn received_descriptor(tracee: Tracee, scratch: usize) -> Result<u64, Error> {
    let control = scratch.saturating_add(usize::try_from(layout::CONTROL).unwrap_or(0));
    let kind = tracee.word(control.saturating_add(8))?;
    let expected = (unsigned(libc::SCM_RIGHTS) << 32) | unsigned(libc::SOL_SOCKET);
    if kind != expected {
        return Err(Error::NotReceived);
    }
    Ok(tracee.word(control.saturating_add(16))? & u64::from(u32::MAX))
}

fn unsigned(flags: libc::c_int) -> u64 {
    u64::from(flags.cast_unsigned())
}

fn socket(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Socket { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvFlags};
    use rustix::net::{connect, recvmsg};
    use std::fs::File;
    use std::io::{IoSliceMut, Read as _, Write as _};
    use std::process::{Command, Stdio};

    const INSIDE: &str = "CLOUDTASER_TEST_DOOR";

    fn knock(name: &[u8]) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let line = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&line, &SocketAddrUnix::new_abstract_name(name)?)?;
        Ok(line)
    }

    #[test]
    fn a_crowd_before_the_door_keeps_nobody_out() {
        let door = Door::open().unwrap();
        let crowd: Vec<_> = (0..500).map(|_| knock(&door.name)).collect();
        assert_eq!(crowd.iter().filter(|knock| knock.is_err()).count(), 0);
    }

    /// Runs itself again as the first process of a namespace, from which we are seen as process 0.
    #[test]
    fn a_stranger_from_outside_the_process_namespace_is_sent_away() {
        if std::env::var_os(INSIDE).is_some() {
            return serve_after_a_stranger();
        }
        if !Command::new("unshare")
            .args(["--pid", "--fork", "true"])
            .status()
            .is_ok_and(|status| status.success())
        {
            assert!(std::env::var_os("REQUIRE").is_none(), "namespaces are required");
            return println!("SKIP a_stranger_from_outside: unshare --pid is refused to this user");
        }
        let mut inside = Command::new("unshare");
        inside.args(["--pid", "--fork", "--kill-child"]).arg(std::env::current_exe().unwrap());
        inside.args(["--exact", "--nocapture"]);
        inside.arg("graft::deliver::tests::a_stranger_from_outside_the_process_namespace_is_sent_away");
        inside.env(INSIDE, "1").stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut inside = inside.spawn().unwrap();
        let mut name = [0; 32];
        inside.stderr.take().unwrap().read_exact(&mut name).unwrap();
        let _stranger = knock(&name).unwrap();
        inside.stdin.take().unwrap().write_all(b".").unwrap();
        assert!(inside.wait().unwrap().success());
    }

    fn serve_after_a_stranger() {
        let door = Door::open().unwrap();
        io::stderr().write_all(&door.name).unwrap();
        io::stdin().read_exact(&mut [0]).unwrap();
        let program = knock(&door.name).unwrap();
        let memory = File::open("/dev/null").unwrap().into();
        door.hand_over(rustix::process::getpid(), &memory).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(&program, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::DONTWAIT).unwrap();
        assert_eq!(control.drain().count(), 1);
    }
}
