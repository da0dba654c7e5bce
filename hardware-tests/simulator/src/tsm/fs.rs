//! FUSE requests, answered from the [`Tree`].

use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::machine::Machine;
use super::tree::{Access, Node, Tree};

/// The file system of one machine.
#[derive(Debug)]
pub(super) struct ReportFs {
    tree: Mutex<Tree>,
    uid: u32,
    gid: u32,
}

impl ReportFs {
    pub(super) const fn new(machine: Machine, uid: u32, gid: u32) -> Self {
        Self { tree: Mutex::new(Tree::new(machine)), uid, gid }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, node: Node) -> FileAttr {
        let (kind, perm, nlink, size) = match node {
            Node::Root | Node::Directory(_) => (FileType::Directory, 0o755, 2, 0),
            Node::File(_, attribute) => (FileType::RegularFile, attribute.mode(), 1, attribute.size()),
        };
        FileAttr {
            ino: INodeNo(node.inode()),
            size,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn answer_entry(&self, node: Result<Node, Errno>, reply: ReplyEntry) {
        match node {
            Ok(node) => reply.entry(&NO_CACHE, &self.attributes(node), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn answer_attributes(&self, inode: INodeNo, reply: ReplyAttr) {
        let node = self.tree().node(inode.into());
        match node {
            Ok(node) => reply.attr(&NO_CACHE, &self.attributes(node)),
            Err(errno) => reply.error(errno),
        }
    }
}

impl Filesystem for ReportFs {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let node = self.tree().lookup(parent.into(), name);
        self.answer_entry(node, reply);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        self.answer_attributes(ino, reply);
    }

    /// Truncation by `open` is accepted and means nothing, as in configfs.
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

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let node = self.tree().mkdir(parent.into(), name);
        self.answer_entry(node, reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.tree().rmdir(parent.into(), name) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EACCES);
    }

    /// Direct I/O, because a file whose size says 0 would otherwise read as empty.
    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let access = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => Access::Read,
            OpenAccMode::O_WRONLY => Access::Write,
            OpenAccMode::O_RDWR => Access::Both,
        };
        match self.tree().open(ino.into(), access) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.tree().read(ino.into(), fh.into(), offset) {
            Ok(mut content) => {
                content.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                reply.data(&content);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.tree().write(ino.into(), fh.into(), offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    /// Unlike `release`, this is answered before `close` returns.
    fn flush(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        self.tree().flush(ino.into(), fh.into());
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.tree().release(fh.into());
        reply.ok();
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.tree().list(ino.into());
        let children = match listed {
            Ok(children) => children,
            Err(errno) => return reply.error(errno),
        };
        let dots =
            [(ino.into(), FileType::Directory, ".".into()), (ino.into(), FileType::Directory, "..".into())];
        let children =
            children.into_iter().map(|(node, name)| (node.inode(), self.attributes(node).kind, name));
        for (next, (inode, kind, name)) in (1..).zip(dots.into_iter().chain(children)) {
            if next > offset && reply.add(INodeNo(inode), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// Nothing is cached: another process may make or remove a directory at any time.
const NO_CACHE: Duration = Duration::ZERO;
