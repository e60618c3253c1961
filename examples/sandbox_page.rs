//! The sandbox's page with a bot that only pretends, for work on the page: `cargo run --example sandbox_page`.
//! Arguments: nodes, VMs, port; `tour` as the fourth plays the tour.

#[path = "../tests/it/fake_bot.rs"]
mod fake_bot;

use tokio_util::sync::CancellationToken;
use vm_balancer::sandbox::{Options, bot, run};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a terminal is what this is for")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    let mut options = Options { nodes: number(0, 12), vms: number(1, 300), ..Options::default() };
    options.listen.set_port(u16::try_from(number(2, 8080))?);
    options.tour = arguments.get(3).is_some_and(|word| word == "tour");
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    run(options, bot(fake_bot::run), input, |text| print!("{text}"), CancellationToken::new()).await?;
    Ok(())
}
