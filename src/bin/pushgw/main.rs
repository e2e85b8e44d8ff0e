//! `pushgw`: the gateway on the command line, for trying it, checking payloads, and finding what is wrong.
//!
//! Each command has a file, and [`view`] writes the output. Exit codes: 0 all is well, 1 something was rejected or failed,
//! 2 wrong usage or settings.

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are the help text, which knows no markup")]

mod appended_file;
mod check;
mod demo;
mod environment;
mod exit;
mod in_process;
mod input_file;
mod invoke;
mod load;
mod local_workspace;
mod ping;
mod redrive;
mod send;
mod serve;
mod state;
mod stop_signal;
mod view;

use clap::{Parser, Subcommand};
use exit::CommandError;
use std::process::ExitCode;

/// Push metrics into Amazon Managed Service for Prometheus (AMP) without running a server: try it, check it, run it
/// here.
///
/// Exit codes: 0 all is well, 1 something was rejected or failed, 2 wrong usage or settings.
#[derive(Parser, Debug)]
#[command(name = "pushgw", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Send(send::Arguments),
    Invoke(invoke::Arguments),
    Check(check::Arguments),
    Ping(ping::Arguments),
    Redrive(redrive::Arguments),
    State(state::Arguments),
    Load(load::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::failed(format!("the runtime could not be started: {error}")));
    runtime.and_then(|runtime| runtime.block_on(run(cli.verb))).unwrap_or_else(|error| {
        view::error(&error.to_string());
        ExitCode::from(error.exit_code)
    })
}

async fn run(verb: Verb) -> Result<ExitCode, CommandError> {
    environment::read_profile().await;
    match verb {
        Verb::Demo(arguments) => Box::pin(demo::run(&arguments)).await,
        Verb::Serve(arguments) => Box::pin(serve::run(arguments)).await,
        Verb::Send(arguments) => send::run(arguments).await,
        Verb::Invoke(arguments) => invoke::run(&arguments).await,
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Ping(arguments) => ping::run(&arguments).await,
        Verb::Redrive(arguments) => redrive::run(&arguments).await,
        Verb::State(arguments) => state::run(arguments).await,
        Verb::Load(arguments) => load::run(&arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
