//! What everyday work costs on this machine: a line for each kind, `NAME NANOSECONDS`, the best of several rounds.
//!
//! Run once without the enforcer and once with it; only the ratio of the two means anything on an emulated processor.
//! The best round, because whatever else the machine does can only make a round slower.
#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("file");
    fs::write(&path, [b'x'; 4096])?;
    let file = File::options().read(true).write(true).open(&path)?;
    let mut block = [0; 64];
    report("open", 2000, || File::open(&path).map(drop))?;
    report("read", 5000, || file.read_exact_at(black_box(&mut block), 0))?;
    report("write", 5000, || file.write_all_at(black_box(&[b'y'; 64]), 0))?;
    report("stat", 5000, || fs::metadata(black_box(&path)).map(drop))?;
    // A process of the shell that does nothing but end.
    shell("fork", 100, "i=0; while [ $i -lt 100 ]; do ( : ); i=$((i+1)); done", scratch.path())?;
    shell("exec", 40, "i=0; while [ $i -lt 40 ]; do /bin/busybox true; i=$((i+1)); done", scratch.path())?;
    shell("build", 1, BUILD, scratch.path())
}

/// A build as a shell sees it: sources are made, each is put through some programs, the results become one archive.
const BUILD: &str = "
rm -rf build; mkdir -p build/src build/out
i=0
while [ $i -lt 12 ]; do
  seq 1 200 | sed \"s/.*/let x&_$i = &;/\" > build/src/$i.rs
  i=$((i+1))
done
for source in build/src/*.rs; do
  name=${source##*/}
  grep -v '7_' $source | sort -r | awk '{ print NR, $0 }' > build/out/$name.o
  test -s build/out/$name.o && md5sum build/out/$name.o >> build/out/sums
done
tar cf build/all.tar build/out && gzip -c build/all.tar > build/all.tar.gz
find build -type f | xargs wc -c > build/sizes
";

fn report(name: &str, times: u32, mut step: impl FnMut() -> std::io::Result<()>) -> Result<()> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..times {
            step().with_context(|| name.to_owned())?;
        }
        best = best.min(start.elapsed());
    }
    println!("{name} {}", best.as_nanos().checked_div(times.into()).unwrap_or_default());
    Ok(())
}

fn shell(name: &str, times: u32, script: &str, folder: &Path) -> Result<()> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut sh = Command::new("/bin/sh");
        let start = Instant::now();
        let status = sh.args(["-e", "-c", script]).current_dir(folder).status().context("/bin/sh")?;
        ensure!(status.success(), "{name}: {status}");
        best = best.min(start.elapsed());
    }
    println!("{name} {}", best.as_nanos().checked_div(times.into()).unwrap_or_default());
    Ok(())
}

const ROUNDS: u32 = 3;
