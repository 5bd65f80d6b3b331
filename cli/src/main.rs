//! The `lectern` command: what people and scripts do with Lectern from a terminal, over the HTTP API alone.

mod config;
mod error;
mod output;
mod profile;

mod client;
mod documents;
mod events;

mod add;
mod ask;
mod evaluate;
mod keys;
mod list;
mod login;
mod remove;
mod search;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    config::{Cli, Command, Common},
    error::{Error, Result},
    output::Out,
    profile::Profile,
};

/// What every command may use.
struct Session {
    common: Common,
    profile: Profile,
    client: Client,
    out: Out,
    /// Cancelled by Ctrl-C.
    stop: CancellationToken,
}

impl Session {
    /// The collection that a command is about, if it is to be told.
    fn collection(&self, named: Option<String>) -> Option<String> {
        named.or_else(|| self.profile.collection.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(&cli.common);
    let ended = run(cli, out.clone()).await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out.failure(&error);
            error.exit_code()
        }
    }
}

async fn run(cli: Cli, out: Out) -> Result<()> {
    let Cli { common, command } = cli;
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "lectern", &mut script);
        return out.bytes(&script);
    }
    let profile = Profile::find(&common)?;
    let session = Session {
        client: Client::new(&profile, &common)?,
        common,
        profile,
        out,
        stop: stop_at_interrupt(),
    };
    match command {
        // They have something to put in order before they end.
        Command::Add(wanted) => add::run(&session, wanted).await,
        Command::Ask(wanted) => ask::run(&session, wanted).await,
        other => tokio::select! {
            ended = quick(&session, other) => ended,
            () = session.stop.cancelled() => Err(Error::Interrupted),
        },
    }
}

async fn quick(session: &Session, command: Command) -> Result<()> {
    match command {
        Command::Search(wanted) => search::run(session, wanted).await,
        Command::List(wanted) => list::run(session, wanted).await,
        Command::Rm(wanted) => remove::run(session, wanted).await,
        Command::Status(wanted) => status::run(session, wanted).await,
        Command::Keys { command } => keys::run(session, command).await,
        Command::Eval(wanted) => evaluate::run(session, wanted).await,
        Command::Login(wanted) => login::login(session, wanted).await,
        Command::Logout => login::logout(session),
        Command::Config => login::show(session),
        Command::Add(_) | Command::Ask(_) | Command::Completions { .. } => {
            unreachable!("dealt with before")
        }
    }
}

fn stop_at_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            told.cancel();
        }
    });
    stop
}
