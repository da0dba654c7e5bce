//! `cargo xtask demo`: the whole path of one secret, told as a story on this machine.

use anyhow::Result;

use crate::house::House;
use crate::tools;

use bao::Bao;
use narrate::{Story, note};

#[expect(dead_code, reason = "the story grows into it")]
mod bao;
#[expect(dead_code, reason = "the story grows into it")]
mod narrate;
mod tls;

pub(crate) fn run(house: &House) -> Result<()> {
    let tools = tools::ensure(house)?;
    let mut story = Story::begin("One secret, released on attestation");
    let bao =
        story.step("OpenBao starts: raft storage, TLS, sealed, then unsealed", || Bao::start(&tools.bao))?;
    note(&format!("{} (process {})", bao.address(), bao.pid()));
    drop(bao);
    story.end();
    Ok(())
}
