//! The directories and the open files, without FUSE: what each call answers.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use fuser::Errno;

use super::attribute::Attribute;
use super::entry::{Entry, fill_inblob};
use super::machine::Machine;

/// The inode of the root directory.
pub(super) const ROOT: u64 = 1;

/// What an inode number stands for. Directories are multiples of 8, their files follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Node {
    Root,
    Directory(u64),
    File(u64, Attribute),
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
    Both,
}

#[derive(Debug)]
pub(super) struct Tree {
    machine: Machine,
    entries: BTreeMap<u64, (OsString, Entry)>,
    open: BTreeMap<u64, Option<Vec<u8>>>,
    last_entry: u64,
    last_handle: u64,
}

impl Node {
    pub(super) const fn inode(self) -> u64 {
        match self {
            Self::Root => ROOT,
            Self::Directory(entry) => entry << 3_u32,
            Self::File(entry, attribute) => entry << 3_u32 | attribute.number(),
        }
    }
}

impl Tree {
    pub(super) const fn new(machine: Machine) -> Self {
        Self { machine, entries: BTreeMap::new(), open: BTreeMap::new(), last_entry: 0, last_handle: 0 }
    }

    pub(super) fn node(&self, inode: u64) -> Result<Node, Errno> {
        if inode == ROOT {
            return Ok(Node::Root);
        }
        let entry = inode >> 3_u32;
        if !self.entries.contains_key(&entry) {
            return Err(Errno::ENOENT);
        }
        match self.attributes().find(|attribute| attribute.number() == inode & 7) {
            Some(attribute) => Ok(Node::File(entry, attribute)),
            None => Ok(Node::Directory(entry)),
        }
    }

    pub(super) fn lookup(&self, parent: u64, name: &OsStr) -> Result<Node, Errno> {
        match self.node(parent)? {
            Node::Root => self.entry_named(name).map(Node::Directory).ok_or(Errno::ENOENT),
            Node::Directory(entry) => self
                .attributes()
                .find(|attribute| name == attribute.name())
                .map(|attribute| Node::File(entry, attribute))
                .ok_or(Errno::ENOENT),
            Node::File(..) => Err(Errno::ENOTDIR),
        }
    }

    /// What a directory holds, by name.
    pub(super) fn list(&self, inode: u64) -> Result<Vec<(Node, OsString)>, Errno> {
        match self.node(inode)? {
            Node::Root => {
                Ok(self.entries.iter().map(|(id, (name, _))| (Node::Directory(*id), name.clone())).collect())
            }
            Node::Directory(entry) => {
                let file = |attribute: Attribute| (Node::File(entry, attribute), attribute.name().into());
                Ok(self.attributes().map(file).collect())
            }
            Node::File(..) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn mkdir(&mut self, parent: u64, name: &OsStr) -> Result<Node, Errno> {
        if self.node(parent)? != Node::Root {
            return Err(Errno::EPERM);
        }
        self.machine.admit()?;
        if self.entry_named(name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.last_entry = self.last_entry.saturating_add(1);
        self.entries.insert(self.last_entry, (name.to_owned(), Entry::default()));
        Ok(Node::Directory(self.last_entry))
    }

    pub(super) fn rmdir(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        match self.lookup(parent, name)? {
            Node::Directory(entry) => {
                self.entries.remove(&entry);
                Ok(())
            }
            Node::Root | Node::File(..) => Err(Errno::ENOTDIR),
        }
    }

    /// configfs refuses what the mode forbids even to root.
    pub(super) fn open(&mut self, inode: u64, access: Access) -> Result<u64, Errno> {
        let Node::File(_, attribute) = self.node(inode)? else {
            return Err(Errno::EISDIR);
        };
        let allowed = if attribute.writable() { Access::Write } else { Access::Read };
        if access != allowed {
            return Err(Errno::EACCES);
        }
        self.last_handle = self.last_handle.saturating_add(1);
        self.open.insert(self.last_handle, None);
        Ok(self.last_handle)
    }

    /// The content is taken at the first read of an open file and stays the same until it is closed.
    pub(super) fn read(&mut self, inode: u64, handle: u64, offset: u64) -> Result<Vec<u8>, Errno> {
        let Node::File(id, attribute) = self.node(inode)? else {
            return Err(Errno::EISDIR);
        };
        let (_, entry) = self.entries.get_mut(&id).ok_or(Errno::ENOENT)?;
        let content = self.open.get_mut(&handle).ok_or(Errno::EBADF)?;
        let content = match content {
            Some(content) => content,
            None => content.insert(entry.read(attribute, &mut self.machine)?),
        };
        let start = usize::try_from(offset).map_err(|_too_far| Errno::EINVAL)?;
        Ok(content.get(start..).unwrap_or_default().to_vec())
    }

    /// A text file takes effect at once, a binary one when it is closed.
    pub(super) fn write(&mut self, inode: u64, handle: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let Node::File(id, attribute) = self.node(inode)? else {
            return Err(Errno::EISDIR);
        };
        let (_, entry) = self.entries.get_mut(&id).ok_or(Errno::ENOENT)?;
        if attribute == Attribute::Privlevel {
            return entry.write_privlevel(data, &self.machine);
        }
        let pending = self.open.get_mut(&handle).ok_or(Errno::EBADF)?;
        fill_inblob(pending.get_or_insert_default(), offset, data)
    }

    /// Commits a pending `inblob`. The kernel ignores the commit's result, so a caller learns nothing.
    pub(super) fn flush(&mut self, inode: u64, handle: u64) {
        let Ok(Node::File(id, Attribute::Inblob)) = self.node(inode) else {
            return;
        };
        let pending = self.open.get_mut(&handle).and_then(Option::take);
        if let (Some(inblob), Some((_, entry))) = (pending, self.entries.get_mut(&id)) {
            let _ignored = entry.commit_inblob(inblob);
        }
    }

    pub(super) fn release(&mut self, handle: u64) {
        self.open.remove(&handle);
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.machine.attributes().iter().copied()
    }

    fn entry_named(&self, name: &OsStr) -> Option<u64> {
        self.entries.iter().find(|(_, (present, _))| present == name).map(|(id, _)| *id)
    }
}
