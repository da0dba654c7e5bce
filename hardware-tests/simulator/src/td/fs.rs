//! FUSE requests to a TD's files.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    IoctlFlags, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    ReplyIoctl, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::Td;

/// The files of one TD.
#[derive(Debug)]
pub(super) struct TdFs {
    td: Td,
    uid: u32,
    gid: u32,
}

/// What an inode number stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Node {
    Root,
    Device,
    EventLog,
    Measurements,
    Register(usize),
}

impl Node {
    const ALL: [Self; 8] = [
        Self::Root,
        Self::Device,
        Self::EventLog,
        Self::Measurements,
        Self::Register(0),
        Self::Register(1),
        Self::Register(2),
        Self::Register(3),
    ];

    fn numbered(inode: INodeNo) -> Result<Self, Errno> {
        Self::ALL.into_iter().find(|node| node.inode() == inode).ok_or(Errno::ENOENT)
    }

    fn inode(self) -> INodeNo {
        INodeNo(match self {
            Self::Root => 1,
            Self::Device => 2,
            Self::EventLog => 3,
            Self::Measurements => 4,
            Self::Register(number) => u64::try_from(number).unwrap_or(0).saturating_add(5),
        })
    }

    fn name(self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Device => "tdx_guest".to_owned(),
            Self::EventLog => "CCEL".to_owned(),
            Self::Measurements => "measurements".to_owned(),
            Self::Register(number) => format!("rtmr{number}:sha384"),
        }
    }

    const fn parent(self) -> Self {
        match self {
            Self::Register(_) => Self::Measurements,
            Self::Root | Self::Device | Self::EventLog | Self::Measurements => Self::Root,
        }
    }

    fn children(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |node| *node != Self::Root && node.parent() == self)
    }

    /// Firmware and kernel have registers 0 to 2 filled before anybody looks; the driver lets 2 and 3 be extended.
    const fn mode(self) -> u16 {
        match self {
            Self::Root | Self::Measurements => 0o755,
            Self::Device => 0o600,
            Self::EventLog => 0o400,
            Self::Register(2 | 3) => 0o644,
            Self::Register(_) => 0o444,
        }
    }

    const fn kind(self) -> FileType {
        match self {
            Self::Root | Self::Measurements => FileType::Directory,
            Self::Device | Self::EventLog | Self::Register(_) => FileType::RegularFile,
        }
    }
}

impl TdFs {
    pub(super) const fn new(td: Td, uid: u32, gid: u32) -> Self {
        Self { td, uid, gid }
    }

    fn content(&self, node: Node) -> Result<Vec<u8>, Errno> {
        match node {
            Node::EventLog => Ok(self.td.event_log.clone()),
            Node::Register(number) => {
                self.td.registers.values().get(number).map(|value| value.to_vec()).ok_or(Errno::ENOENT)
            }
            Node::Device => Err(Errno::EINVAL),
            Node::Root | Node::Measurements => Err(Errno::EISDIR),
        }
    }

    fn attributes(&self, node: Node) -> FileAttr {
        let size = self.content(node).map_or(0, |content| u64::try_from(content.len()).unwrap_or(0));
        FileAttr {
            ino: node.inode(),
            size,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: node.kind(),
            perm: node.mode(),
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn answer_attributes(&self, inode: INodeNo, reply: ReplyAttr) {
        match Node::numbered(inode) {
            Ok(node) => reply.attr(&Duration::ZERO, &self.attributes(node)),
            Err(errno) => reply.error(errno),
        }
    }

    /// The driver takes a whole digest at once.
    fn extend(&self, inode: INodeNo, offset: u64, digest: &[u8]) -> Result<(), Errno> {
        let Node::Register(number) = Node::numbered(inode)? else { return Err(Errno::EINVAL) };
        let digest: [u8; 48] = digest.try_into().map_err(|_other_length| Errno::EINVAL)?;
        if offset != 0 {
            return Err(Errno::EINVAL);
        }
        self.td.registers.extend(number, digest);
        Ok(())
    }

    fn report(&self, inode: INodeNo, command: u32, request: &[u8]) -> Result<Vec<u8>, Errno> {
        if Node::numbered(inode)? != Node::Device || command != GET_REPORT0 {
            return Err(Errno::ENOTTY);
        }
        let data: &[u8; 64] = request.first_chunk().ok_or(Errno::EINVAL)?;
        Ok([data.as_slice(), &self.td.report(*data)].concat())
    }
}

impl Filesystem for TdFs {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let child = |parent: Node| parent.children().find(|child| name == child.name().as_str());
        match Node::numbered(parent).ok().and_then(child) {
            Some(node) => reply.entry(&Duration::ZERO, &self.attributes(node), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        self.answer_attributes(ino, reply);
    }

    /// Truncation by `open` is accepted and means nothing, as in sysfs.
    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.answer_attributes(ino, reply);
    }

    /// sysfs refuses what the mode forbids even to root.
    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match Node::numbered(ino) {
            Ok(node) if writes && node.mode() & 0o200 == 0 => reply.error(Errno::EACCES),
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let [start, size] = [offset, size.into()].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        match Node::numbered(ino).and_then(|node| self.content(node)) {
            Ok(content) => {
                reply.data(&content.into_iter().skip(start).take(size).collect::<Vec<u8>>());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.extend(ino, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Ok(node) = Node::numbered(ino) else { return reply.error(Errno::ENOENT) };
        let dots = [(node, ".".to_owned()), (node.parent(), "..".to_owned())];
        let children = node.children().map(|child| (child, child.name()));
        for (next, (child, name)) in (1..).zip(dots.into_iter().chain(children)) {
            if next > offset && reply.add(child.inode(), next, child.kind(), name) {
                break;
            }
        }
        reply.ok();
    }

    fn ioctl(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        match self.report(ino, cmd, in_data) {
            Ok(answer) => reply.ioctl(0, &answer),
            Err(errno) => reply.error(errno),
        }
    }
}

/// `TDX_CMD_GET_REPORT0`: `_IOWR('T', 1, struct tdx_report_req)`, of 64 and 1024 bytes.
const GET_REPORT0: u32 = 0xc440_5401;
