//! What can be said on the command line and in the environment.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;

const EXIT_CODES: &str = "\
Exit codes:
  0  all went well
  1  something failed, or the server refused it
  2  the command was not understood
  3  there is no such thing
  4  the key is missing, not valid, or may not do this
  5  the server can't be reached, or is too busy
  130  interrupted with Ctrl-C
  141  nobody reads the output any more";

/// Answers from your documents, from a terminal.
#[derive(Parser, Clone, Debug)]
#[command(name = "lectern", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Where Lectern is, such as `https://lectern.example.org` [default: what `lectern login` has stored, else
    /// `http://localhost:8080`]
    #[arg(long, global = true, env = "LECTERN_URL")]
    pub(crate) url: Option<String>,
    /// The API key [default: what `lectern login` has stored]
    #[arg(long, global = true, env = "LECTERN_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// The file that `lectern login` writes [default: lectern/config.toml in the user's folder for configuration]
    #[arg(long = "config-file", global = true, env = "LECTERN_CONFIG_FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// The collection where a command names none [default: what `lectern login` has stored, else the server's]
    #[arg(
        long,
        global = true,
        env = "LECTERN_COLLECTION",
        value_name = "COLLECTION"
    )]
    pub(crate) default_collection: Option<String>,
    /// Print JSON; errors, too, on the standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no notes, on a terminal neither
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// How long the server may be silent
    #[arg(
        long,
        global = true,
        env = "LECTERN_PATIENCE_SECONDS",
        default_value_t = 60
    )]
    pub(crate) patience_seconds: u32,
    /// How often a request is made again when the connection breaks or the server is busy
    #[arg(long, global = true, env = "LECTERN_RETRIES_MAX", default_value_t = 8)]
    pub(crate) retries_max: u32,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Command {
    /// Upload files and folders, and wait until they are searchable. What is there already is skipped, so the same
    /// command goes on where it was interrupted
    Add(Add),
    /// Ask a question, and read the answer as it is written, with its sources
    Ask(Ask),
    /// Find passages, without an answer
    Search(Search),
    /// List documents
    List(List),
    /// Delete documents
    Rm(Remove),
    /// Tell how the server is, or one document
    Status(Status),
    /// Make, list and revoke API keys
    Keys {
        #[command(subcommand)]
        command: Keys,
    },
    /// Measure how far up questions find what answers them
    Eval(Eval),
    /// Store an address and a key, after trying them
    Login(Login),
    /// Forget the stored key
    Logout,
    /// Tell which address and which key are used, and from where
    Config,
    /// Print the script that completes these commands in a shell
    Completions { shell: Shell },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Add {
    /// Files, and folders with all that is in them
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The collection that they go into
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    /// Make the collection if there is none
    #[arg(long)]
    pub(crate) create: bool,
    /// A JSON object that says something of all of them
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(crate) metadata: Option<Value>,
    /// One such entry; may be given several times
    #[arg(long = "meta", value_parser = entry, value_name = "NAME=VALUE")]
    pub(crate) entries: Vec<(String, String)>,
    /// Of a single file: its title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Of a single file: where people find it
    #[arg(long)]
    pub(crate) source_url: Option<String>,
    /// What opens protected PDFs
    #[arg(long, env = "LECTERN_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Leave out what matches, such as '*.tmp' or 'drafts/**'; may be given several times
    #[arg(long, short = 'x', value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Take what matches alone; may be given several times
    #[arg(long, short = 'i', value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Take hidden files of folders, too
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Uploads at a time
    #[arg(long, short = 'j', default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// End after the last upload; the server reads on
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Ask {
    /// The question; `-` reads it from the standard input
    pub(crate) question: String,
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    /// Goes on with a conversation: its id, or `new` to begin one
    #[arg(long)]
    pub(crate) conversation: Option<String>,
    /// Passages that the answer may be made from
    #[arg(long)]
    pub(crate) passages: Option<u16>,
    /// A JSON object that the documents' metadata contain
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(crate) filter: Option<Value>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Search {
    /// What is looked for; `-` reads it from the standard input
    pub(crate) question: String,
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    #[arg(long)]
    pub(crate) passages: Option<u16>,
    /// A JSON object that the documents' metadata contain
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(crate) filter: Option<Value>,
    /// Passages in full
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct List {
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    /// queued, processing, ready, failed or cancelled
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// A part of the name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A JSON object that the metadata contain
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(crate) metadata: Option<Value>,
    /// Such as application/pdf
    #[arg(long)]
    pub(crate) media_type: Option<String>,
    /// `created_at`, `updated_at`, `name`, `bytes` or `pages`; with `-` before it from the greatest down
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Documents of a page
    #[arg(long)]
    pub(crate) limit: Option<u32>,
    /// Where the page before has ended
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// All pages
    #[arg(long, conflicts_with = "cursor")]
    pub(crate) all: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Remove {
    /// Ids or names
    #[arg(required = true)]
    pub(crate) documents: Vec<String>,
    /// Where the names are looked for
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    /// Don't ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Status {
    /// The id or name of a document
    pub(crate) document: Option<String>,
    /// Where the name is looked for
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Keys {
    /// Make a key and print it, once
    Create(CreateKey),
    /// List keys
    List,
    /// Revoke a key
    Revoke { id: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    Secret,
    /// For pages that others see, from the origins that it names
    Widget,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CreateKey {
    /// What it is for
    pub(crate) name: String,
    #[arg(long, value_enum, default_value_t = KeyKind::Secret)]
    pub(crate) kind: KeyKind,
    /// What it may do: read, ask, write, admin; may be given several times
    #[arg(long = "scope", required = true)]
    pub(crate) scopes: Vec<String>,
    /// The collection that it is for [default: all]; may be given several times
    #[arg(long = "collection", short)]
    pub(crate) collections: Vec<String>,
    /// When it ends, such as 2027-01-31T00:00:00Z [default: never]
    #[arg(long)]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// The origin of pages that a widget key is for; may be given several times
    #[arg(long = "origin")]
    pub(crate) origins: Vec<String>,
    /// Requests a minute, but for questions, searches and uploads [default: as the server's settings say, as of the others]
    #[arg(long)]
    pub(crate) requests_per_minute: Option<u32>,
    /// Questions and searches a minute
    #[arg(long)]
    pub(crate) asks_per_minute: Option<u32>,
    /// Uploads a minute
    #[arg(long)]
    pub(crate) uploads_per_minute: Option<u32>,
    /// Open event streams at one replica of the server
    #[arg(long)]
    pub(crate) streams_max: Option<u32>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Eval {
    /// Questions with what answers them, a JSON object a line; `-` reads the standard input
    pub(crate) set: PathBuf,
    #[arg(long, short)]
    pub(crate) collection: Option<String>,
    /// Passages that are asked for: no more than `LECTERN_PASSAGES_MAX` of the server
    #[arg(long, default_value_t = 20)]
    pub(crate) passages: u16,
    /// Questions, at the most
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Login {
    /// Where Lectern is [default: --url]
    pub(crate) address: Option<String>,
}

fn object(raw: &str) -> Result<Value, String> {
    match serde_json::from_str(raw) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(r#"it is a JSON object, such as {"team": "finance"}"#.into()),
        Err(error) => Err(format!(
            r#"it is no JSON ({error}); an object is {{"team": "finance"}}"#
        )),
    }
}

fn entry(raw: &str) -> Result<(String, String), String> {
    match raw.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is NAME=VALUE, such as team=finance".into()),
    }
}
