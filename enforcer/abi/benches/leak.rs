//! What the search costs: natively, the same code that runs inside the kernel. The measure is 2.5 ns a byte.
#![expect(clippy::arithmetic_side_effects, reason = "a bench")]

use divan::Bencher;
use divan::counter::BytesCount;

use self::registered::Group;

#[path = "../tests/registered/mod.rs"]
mod registered;

fn main() {
    divan::main();
}

fn group(secrets: usize) -> Group {
    let secrets: Vec<String> = (0..secrets).map(|n| format!("{:032x}", (n + 1) * 0x9e37_79b9_7f4a)).collect();
    Group::of(&secrets.iter().map(String::as_bytes).collect::<Vec<_>>())
}

/// Text of a program, as logs and answers are.
fn text(length: usize) -> Vec<u8> {
    include_bytes!("../src/leak/shapes.rs").iter().copied().cycle().take(length).collect()
}

/// 64 bytes to the whole window; 16 secrets.
#[divan::bench(args = [64, 256, 1024, 4096])]
fn text_with_16_secrets(bencher: Bencher<'_, '_>, length: usize) {
    let (mut group, text) = (group(16), text(length));
    bencher.counter(BytesCount::new(length)).bench_local(|| group.sends(divan::black_box(&text)));
}

/// No byte of it is text.
#[divan::bench(args = [4096])]
fn random_bytes_with_16_secrets(bencher: Bencher<'_, '_>, length: usize) {
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect();
    let mut group = group(16);
    bencher.counter(BytesCount::new(length)).bench_local(|| group.sends(divan::black_box(&bytes)));
}

/// The most that a group may register.
#[divan::bench(args = [4096])]
fn text_with_256_secrets(bencher: Bencher<'_, '_>, length: usize) {
    let (mut group, text) = (group(256), text(length));
    bencher.counter(BytesCount::new(length)).bench_local(|| group.sends(divan::black_box(&text)));
}
