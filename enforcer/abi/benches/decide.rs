//! The policy natively: what a hook does once it has both tags. Nearly every call ends after the first.

use divan::{Bencher, black_box};
use enforcer_abi::{Guard, Mode, Scope, Tag, concerns, decide, role};

fn main() {
    divan::main();
}

const VICTIM: Tag = Tag { group: 7, roles: role::PROTECTED, becoming: 0 };

/// Nobody of ours touches nobody of ours.
#[divan::bench]
fn let_through(bencher: Bencher<'_, '_>) {
    bencher.bench(|| concerns(black_box(Guard::Process), black_box(Tag::NONE), black_box(Tag::NONE)));
}

/// A stranger touches a protected process.
#[divan::bench]
fn refused(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        concerns(black_box(Guard::Process), black_box(Tag::NONE), black_box(VICTIM))
            .then(|| decide(Mode::of(black_box(2)), black_box(Scope::Within)))
    });
}
