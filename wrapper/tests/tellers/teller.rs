use std::env;
use std::io::{self, BufRead as _};

fn main() {
    println!("ready");
    // The library gives a copy; it is kept, as a program would.
    let mut kept = Vec::new();
    for _ in io::stdin().lock().lines() {
        let value = env::var("PASSWORD").unwrap();
        let sum = value.bytes().zip(1..).fold(0_u32, |sum, (byte, place)| (sum + place * u32::from(byte)) % 65521);
        kept.push(value);
        println!("{sum}");
    }
}
