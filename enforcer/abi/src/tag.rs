//! What a task is to the enforcer. A tag lies in the task's own storage: it is inherited at `fork`, kept over `execve`,
//! and gone with the task. Nothing that another process can write (a control group, a name, a file) makes or unmakes it.

/// Roles, as bits of [`Tag::roles`].
pub mod role {
    /// Its memory is protected: the wrapper and its program.
    pub const PROTECTED: u32 = 1;
    /// The enforcer itself.
    pub const ENFORCER: u32 = 1 << 1;
    /// A decoy that the canary attacks: protected, and not worth an event.
    pub const DECOY: u32 = 1 << 2;
    /// The canary: its attacks are answered as anybody's, and not told.
    pub const CANARY: u32 = 1 << 3;
    /// May do what the guards of the node forbid: by the list of programs, looked at when it was executed.
    pub const TRUSTED: u32 = 1 << 4;
    /// It hands secrets to others of its group, and has executed no program since it said so: what it sends is not looked
    /// at. Inherited at `fork`, gone with `execve`.
    pub const KEEPER: u32 = 1 << 5;
    /// What it executes stays trusted.
    pub const CHILDREN: u32 = 1 << 6;
    /// Where in the roles the number of a trusted program's entry in the list begins.
    pub const ENTRY: u32 = 16;
    /// All that being trusted puts into the roles.
    pub const OF_TRUST: u32 = TRUSTED | CHILDREN | 0xffff << ENTRY;
}

/// A task's tag; all zeros: nothing to us.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tag {
    /// Who may touch each other: the same random number, never 0 for a protected task.
    pub group: u64,
    /// Bits of [`role`].
    pub roles: u32,
    /// Bits of [`role`], of [`role::ENFORCER`] and of trust: what it may be as soon as the program that it executes is all there.
    /// Until then it has none of the rights, and is kept from others as if it had. In the table by number also [`Tag::COUNTED`].
    pub becoming: u32,
}

impl Tag {
    /// In the table by number: the entry counts for its group's share. No role has this bit.
    pub const COUNTED: u32 = 1 << 8;

    /// Of a task that the enforcer knows nothing of.
    pub const NONE: Self = Self { group: 0, roles: 0, becoming: 0 };

    /// Whether it has one of these roles.
    #[must_use]
    #[inline]
    pub const fn is(self, roles: u32) -> bool {
        self.roles & roles != 0
    }

    /// Which entry of the list of trusted programs it is by, or 0.
    #[must_use]
    #[inline]
    pub const fn entry(self) -> u32 {
        self.roles >> role::ENTRY
    }

    /// What it is about to be: bits of [`role`].
    #[must_use]
    #[inline]
    pub const fn next(self) -> u32 {
        self.becoming & !Self::COUNTED
    }

    /// Whether it is kept from who is trusted by `entry` (0: nobody is): it is trusted by another, or about to be. Its memory
    /// is the old program's until it is the new one's, so both count.
    #[must_use]
    #[inline]
    pub const fn is_kept_from(self, entry: u32) -> bool {
        let is = self.is(role::TRUSTED) && self.entry() != entry;
        let becomes = self.becoming & role::TRUSTED != 0 && self.becoming >> role::ENTRY != entry;
        is || becomes
    }

    /// What it is, whatever it is about to be; and what its child is.
    #[must_use]
    #[inline]
    pub const fn now(self) -> Self {
        Self { becoming: 0, ..self }
    }

    /// Whether both belong together.
    #[must_use]
    #[inline]
    pub const fn with(self, other: Self) -> bool {
        self.group != 0 && self.group == other.group
    }
}
