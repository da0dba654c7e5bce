//! What a program inside the kernel tells: one record of fixed size for each access that the policy is against.

/// How strong the hook is that spoke; from the strongest.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tier {
    /// BPF LSM: refused before it happens.
    Lsm = 1,
    /// `fmod_ret` on `security_*`: likewise.
    ModifyReturn = 2,
    /// A kprobe overrides the system call, another kills who makes it.
    Override = 3,
    /// A kprobe kills who does it.
    Kill = 4,
    /// A tracepoint kills who does it.
    Tracepoint = 5,
    /// It is told, and no more.
    Observe = 6,
}

/// One access. 128 bytes without padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// `bpf_ktime_get_boot_ns`.
    pub at: u64,
    /// The caller's control group.
    pub cgroup: u64,
    /// The group of whom it was done to, or 0.
    pub object_group: u64,
    /// The caller's group, or 0.
    pub subject_group: u64,
    /// What the vector's hook has to say more: a device number, a command, a count of bytes.
    pub detail: u64,
    /// The caller's process, in the first name space.
    pub pid: u32,
    /// The caller's thread.
    pub tid: u32,
    /// The caller's user id.
    pub uid: u32,
    /// The process it was done to, or 0.
    pub object_pid: u32,
    /// The number of the vector.
    pub vector: u16,
    /// [`Tier`].
    pub tier: u8,
    /// [`crate::Ruling`].
    pub ruling: u8,
    /// The number of the system call, or -1.
    pub syscall: i32,
    /// The caller's name.
    pub comm: [u8; 16],
    /// What it was done to, where it has a name: of a file, a module.
    pub name: [u8; 48],
}

impl Record {
    /// How long one is, in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// Reads what the kernel's side wrote, in this machine's byte order; none of anything shorter. What follows is left.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        Some(Self {
            at: u64::from_ne_bytes(rest.next()?),
            cgroup: u64::from_ne_bytes(rest.next()?),
            object_group: u64::from_ne_bytes(rest.next()?),
            subject_group: u64::from_ne_bytes(rest.next()?),
            detail: u64::from_ne_bytes(rest.next()?),
            pid: u32::from_ne_bytes(rest.next()?),
            tid: u32::from_ne_bytes(rest.next()?),
            uid: u32::from_ne_bytes(rest.next()?),
            object_pid: u32::from_ne_bytes(rest.next()?),
            vector: u16::from_ne_bytes(rest.next()?),
            tier: u8::from_ne_bytes(rest.next()?),
            ruling: u8::from_ne_bytes(rest.next()?),
            syscall: i32::from_ne_bytes(rest.next()?),
            comm: rest.next()?,
            name: rest.next()?,
        })
    }

    /// What [`Record::of_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let words = [self.at, self.cgroup, self.object_group, self.subject_group, self.detail];
        let halves = [self.pid, self.tid, self.uid, self.object_pid];
        let fields = words.iter().flat_map(|word| word.to_ne_bytes());
        let fields = fields.chain(halves.iter().flat_map(|half| half.to_ne_bytes()));
        let fields = fields.chain(self.vector.to_ne_bytes()).chain([self.tier, self.ruling]);
        let fields = fields.chain(self.syscall.to_ne_bytes()).chain(self.comm).chain(self.name);
        let mut bytes = [0; Self::SIZE];
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// What is not read yet.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }
}

impl Tier {
    /// All of them, from the strongest.
    pub const ALL: [Self; 6] =
        [Self::Lsm, Self::ModifyReturn, Self::Override, Self::Kill, Self::Tracepoint, Self::Observe];

    /// The tier of this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::ModifyReturn => "fmod_ret",
            Self::Override => "override",
            Self::Kill => "kill",
            Self::Tracepoint => "tracepoint",
            Self::Observe => "observe",
        }
    }
}

const _: () = assert!(size_of::<Record>() == 128, "no padding, and half a cache line's multiple");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_bytes_and_back_and_nothing_shorter_is_one() {
        let record = Record {
            at: 1,
            cgroup: 2,
            object_group: 3,
            subject_group: 4,
            detail: 5,
            pid: 6,
            tid: 7,
            uid: 8,
            object_pid: 9,
            vector: 10,
            tier: 11,
            ruling: 12,
            syscall: -1,
            comm: [13; 16],
            name: [14; 48],
        };
        let bytes = record.to_bytes();
        assert_eq!(Record::of_bytes(&bytes), Some(record));
        for length in 0..bytes.len() {
            assert_eq!(Record::of_bytes(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_tier_is_its_number() {
        for (at, tier) in Tier::ALL.into_iter().enumerate() {
            assert_eq!(Tier::of(u8::try_from(at).unwrap() + 1), Some(tier));
        }
        assert_eq!([Tier::of(0), Tier::of(7)], [None, None]);
    }
}
