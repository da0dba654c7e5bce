//! What is the enforcer's own, and which programs are trusted: keys and values of the maps `OWN` and `TRUSTED`.

/// What a part of the enforcer is to the kernel.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// A map, by its number.
    Map = 1,
    /// A program, by its number.
    Program = 2,
    /// A link, by its number.
    Link = 3,
    /// A control group that the enforcer is in, or one above: by the number of its folder.
    Cgroup = 4,
    /// The mount that its pins are in, or one above: by its number.
    Mount = 5,
    /// The peers of such a mount, where what is unmounted here is unmounted there: by the number of their group.
    Peers = 6,
    /// The file system that its pins are in: by its device, as the kernel has it.
    FileSystem = 7,
    /// The control group that the enforcer is in.
    Home = 8,
    /// The folder that its pins are in: by its inode, in the file system of the pins.
    Pins = 9,
}

/// A key of the map `OWN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Own {
    /// The number.
    pub number: u64,
    /// [`Part`].
    pub part: u32,
    /// Zero.
    pub reserved: u32,
}

impl Own {
    /// A part by its number.
    #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
    #[must_use]
    #[inline]
    pub const fn new(part: Part, number: u64) -> Self {
        Self { number, part: part as u32, reserved: 0 }
    }
}

/// A file as it is when it is looked at. Whoever changes the file changes its state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Program {
    /// Where it is.
    pub place: Place,
    /// How it is there.
    pub state: State,
}

/// A key of the map `TRUSTED`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The device of its file system, as the kernel has it.
    pub device: u64,
    /// Which kind of file system (linux/magic.h): a device that stands for none is another's when its file system has gone.
    pub kind: u64,
    /// Its inode.
    pub inode: u64,
}

/// What changes when a file is changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Its size.
    pub size: u64,
    /// When it was changed: seconds.
    pub seconds: u64,
    /// And nanoseconds.
    pub nanoseconds: u64,
}

/// A value of the map `TRUSTED`: a file as it was when its digest was taken, and what follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// As it was.
    pub state: State,
    /// What it may.
    pub trust: Trust,
}

/// What a program may that is known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    /// What the guards of the node let it do: a bit for each vector's number.
    pub vectors: u64,
    /// The control group that it has to be started in, or below; 0: any.
    pub cgroup: u64,
    /// Its number, from 1, below [`ENTRIES`]; given once.
    pub entry: u32,
    /// Bits of [`trust`].
    pub flags: u32,
}

/// How many numbers there are for programs, with 0, which is nobody's.
pub const ENTRIES: u32 = 1 << 14;

/// Bits of [`Trust::flags`], and of what a number allows.
pub mod trust {
    /// It is the enforcer: a program that loads nothing at run time, and is not traced when it starts.
    pub const ENFORCER: u32 = 1;
    /// What it executes in the entry's control group is trusted as it is.
    pub const CHILDREN: u32 = 1 << 1;
    /// It may be trusted though libraries are loaded into it.
    pub const MAY_LOAD: u32 = 1 << 2;
    /// Not known yet: only who begins to write to it is seen, and voids it.
    pub const PENDING: u32 = 1 << 3;
    /// In what a number lets a program do: the number was given to somebody. No vector has this bit.
    pub const USED: u64 = 1 << 63;
}
