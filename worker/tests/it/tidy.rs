//! Keeps the prose true: what the documents, the dashboards and `.env.example` say is what the code does.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use lectern_api::config::{ApiSettings, Cli as ApiCli};
use lectern_shared::{
    config::{LogSettings, StoreSettings, Variable, variables},
    metrics,
};
use lectern_worker::config::{
    AnswerSettings, CacheSettings, Cli as WorkerCli, ConfidenceSettings, DoctorSettings,
    EmbeddingSettings, ImportSettings, OcrSettings, ParseSettings, RerankSettings, SearchSettings,
    WorkerSettings,
};

const CRATES: [&str; 4] = ["shared", "api", "worker", "cli"];

/// The checkout.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder of the checkout, as paths from its root. None when there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn rust_files(folders: impl IntoIterator<Item = String>) -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let found: Vec<_> = folders
        .into_iter()
        .flat_map(|folder| files(&folder))
        .filter(is_rust)
        .collect();
    assert!(!found.is_empty(), "no Rust files: is this a checkout?");
    found
}

fn sources() -> Vec<PathBuf> {
    rust_files(CRATES.map(|name| format!("{name}/src")))
}

fn assert_none(problems: &[String], what_to_do: &str) {
    assert!(
        problems.is_empty(),
        "{what_to_do}:\n  {}",
        problems.join("\n  ")
    );
}

/// The paths of ARCHITECTURE.md's map: what the items of its list begin with.
fn map() -> BTreeSet<PathBuf> {
    let text = read("ARCHITECTURE.md");
    let (_, after) = text
        .split_once("\n## The map\n")
        .expect("ARCHITECTURE.md has a section 'The map'");
    let section = after.split("\n## ").next().unwrap_or_default();
    let path = |line: &str| Some(PathBuf::from(line.strip_prefix("- `")?.split('`').next()?));
    let paths: BTreeSet<_> = section.lines().filter_map(path).collect();
    assert!(
        !paths.is_empty(),
        "the map has no items of the form: - `path`: what it is for"
    );
    paths
}

#[test]
fn every_file_that_the_map_names_exists() {
    let missing: Vec<_> = map()
        .iter()
        .filter(|path| !root().join(path).exists())
        .map(|path| path.display().to_string())
        .collect();
    assert_none(&missing, "ARCHITECTURE.md's map names what is not there");
}

#[test]
fn every_source_file_is_on_the_map_itself_or_by_its_folder() {
    let map = map();
    let unknown: Vec<_> = sources()
        .iter()
        .filter(|file| !file.ancestors().any(|path| map.contains(path)))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&unknown, "add to ARCHITECTURE.md's map");
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let code: String = rust_files(CRATES.map(str::to_owned))
        .iter()
        .map(read)
        .collect();
    let mut unknown = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "deploy/THREATS.md",
    ] {
        for name in named_tests(&read(document)) {
            if !code.contains(&format!("fn {name}(")) {
                unknown.push(format!("{document}: {name}"));
            }
        }
    }
    assert_none(&unknown, "there are no such tests");
}

/// Between backticks, a name of four words or more is a sentence, and so a test's.
fn named_tests(text: &str) -> Vec<&str> {
    let in_backticks = text.split('`').skip(1).step_by(2);
    in_backticks
        .filter(|name| {
            let mut characters = name.chars();
            let is_name =
                characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            is_name && name.matches('_').count() >= 3
        })
        .collect()
}

#[test]
fn every_threat_names_the_test_that_would_notice() {
    let text = read("deploy/THREATS.md");
    let threats: Vec<_> = text.split("\n## ").skip(1).collect();
    assert!(threats.len() > 10, "no threats: is each a section?");
    let untested: Vec<_> = threats
        .iter()
        .filter(|threat| named_tests(threat).is_empty())
        .filter_map(|threat| threat.lines().next())
        // What is said to be open has no test.
        .filter(|title| !title.starts_with("Not covered"))
        .map(str::to_owned)
        .collect();
    assert_none(
        &untested,
        "name the test of each threat in deploy/THREATS.md",
    );
}

/// The words of a text that could be names of metrics with this prefix.
fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':'))
        .filter(move |word| word.starts_with(prefix))
}

/// What the scripts in deploy leave for the node exporter, one `name: help` a line.
fn is_of_a_script(metric: &str) -> bool {
    read("deploy/lib/metrics.txt").lines().any(|line| {
        line.split_once(": ")
            .is_some_and(|(name, _)| name == metric)
    })
}

fn is_declared(metric: &str) -> bool {
    let histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| metric.strip_suffix(suffix));
    metrics::ALL.contains(&metric)
        || histogram.is_some_and(|name| metrics::ALL.contains(&name))
        || is_of_a_script(metric)
}

#[test]
fn every_metric_on_a_dashboard_and_in_an_alert_is_declared() {
    let mut problems = Vec::new();
    let mut dashboards = 0;
    let folders = ["grafana", "deploy/prometheus", "deploy/kubernetes"];
    for file in folders.map(files).concat() {
        let text = read(&file);
        for metric in words(&text, "lectern_").filter(|metric| !is_declared(metric)) {
            problems.push(format!("{}: {metric}", file.display()));
        }
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            dashboards += 1;
            let dashboard = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            for query in queries(&dashboard) {
                // One without any of ours has a name with a slip in it.
                let known = ["lectern_", "process_", "pg_", "redis_", "node_"];
                if known
                    .iter()
                    .all(|prefix| words(query, prefix).next().is_none())
                {
                    problems.push(format!("{}: {query}", file.display()));
                }
            }
        }
    }
    assert!(dashboards > 0, "no dashboards found");
    assert_none(
        &problems,
        "neither in shared/src/metrics.rs nor in deploy/lib/metrics.txt",
    );
}

/// The queries of a dashboard's panels.
fn queries(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(query) if name == "expr" => vec![query],
                _ => queries(value),
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn metrics_are_named_in_one_place() {
    let mut problems = Vec::new();
    for file in rust_files(["api/src".to_owned(), "worker/src".to_owned()]) {
        // `"lectern_{…}"` is a format, and no metric.
        for literal in read(&file)
            .split('"')
            .filter(|literal| words(literal, "lectern_").any(|word| word == *literal))
        {
            problems.push(format!("{}: {literal}", file.display()));
        }
    }
    assert_none(
        &problems,
        "declare it in shared/src/metrics.rs and use its constant",
    );
}

/// What a setting without a default looks like: the values of `.dev/env`, seen from the checkout.
const EXAMPLES: [(&str, &str); 5] = [
    ("LECTERN_BLOBS", ".dev/blobs"),
    (
        "LECTERN_DATABASE_URL",
        "postgres://lectern:password@127.0.0.1:54329/lectern",
    ),
    ("LECTERN_MODEL_DIR", ".dev/models/all-MiniLM-L6-v2"),
    ("LECTERN_PDFIUM", ".dev/models/libpdfium.so"),
    ("LECTERN_REDIS_URL", "redis://127.0.0.1:63790/0"),
];

fn settings<A: Args>() -> Vec<Variable> {
    variables(&A::augment_args(Command::new("")))
}

#[test]
fn the_example_of_the_settings_is_what_the_programs_read() {
    let groups = [
        (
            "The API and the workers: where the data is",
            settings::<StoreSettings>(),
        ),
        ("The API and the workers: logs", settings::<LogSettings>()),
        ("The API", settings::<ApiSettings>()),
        ("A worker", settings::<WorkerSettings>()),
        ("A worker: reading files", settings::<ParseSettings>()),
        ("A worker: zips", settings::<ImportSettings>()),
        ("The doctor", settings::<DoctorSettings>()),
        (
            "A worker: text recognition (OCR)",
            settings::<OcrSettings>(),
        ),
        (
            "A worker: the embedding model",
            settings::<EmbeddingSettings>(),
        ),
        ("A worker: search", settings::<SearchSettings>()),
        ("A worker: reranking", settings::<RerankSettings>()),
        ("A worker: answers", settings::<AnswerSettings>()),
        (
            "A worker: answers that are given again",
            settings::<CacheSettings>(),
        ),
        (
            "A worker: questions that documents don't answer",
            settings::<ConfidenceSettings>(),
        ),
    ];
    let mut wanted = "# The settings of Lectern, with their defaults. `lectern-api serve --help` and `lectern-worker run --help` say \
                      the same.\n# Those without a default come without a # before them: set them.\n# To use a copy of \
                      this file: set -a; . ./.env; set +a\n"
        .to_owned();
    for (title, settings) in &groups {
        let _ = write!(wanted, "\n# ---- {title}\n");
        for Variable {
            name,
            help,
            default,
        } in settings
        {
            let example = EXAMPLES
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value);
            let line = match (default, example) {
                (Some(default), _) => format!("# {name}={default}"),
                (None, Some(example)) => format!("{name}={example}"),
                (None, None) => panic!("{name} has no default: give it a value in EXAMPLES"),
            };
            let _ = write!(wanted, "\n# {}\n{line}\n", help.replace('\n', "\n# "));
        }
    }

    let grouped: BTreeSet<_> = groups.iter().flat_map(|(_, settings)| settings).collect();
    let commands = [ApiCli::command(), WorkerCli::command()]
        .map(|command| variables(&command))
        .concat();
    assert_eq!(
        grouped,
        commands.iter().collect(),
        "a setting is in no group: add its struct to the list above"
    );

    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("env.example");
    fs::write(&here, &wanted).unwrap();
    let found = fs::read_to_string(root().join(".env.example")).unwrap_or_default();
    assert!(
        found == wanted,
        ".env.example is not what the programs read: cp {} .env.example",
        here.display()
    );
}

#[test]
fn sql_stands_in_the_store_alone() {
    let elsewhere: Vec<_> = sources()
        .iter()
        .filter(|file| {
            !file.starts_with("shared/src/store") && !file.ends_with("shared/src/testing.rs")
        })
        .filter(|file| read(file).contains("sqlx::query"))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&elsewhere, "move the queries into shared/src/store");
}

#[test]
fn every_rust_file_begins_with_what_it_is_for() {
    let silent: Vec<_> = rust_files(CRATES.map(str::to_owned))
        .iter()
        .filter(|file| !read(file).starts_with("//! "))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&silent, "begin with a module doc (//!)");
}

#[test]
fn the_api_links_no_model_and_no_parser_and_the_workers_link_no_web_server() {
    let models_and_parsers = [
        "ort",
        "rust-bert",
        "tch",
        "tokenizers",
        "lopdf",
        "pdfium-render",
    ];
    let web_servers = ["axum", "lectern-api"];
    let everything = [&models_and_parsers[..], &web_servers].concat();
    let mut problems = Vec::new();
    for (name, banned) in [
        ("shared", &everything[..]),
        ("api", &models_and_parsers),
        ("worker", &web_servers),
    ] {
        problems.extend(
            linked(name)
                .into_iter()
                .filter(|found| banned.contains(&found.as_str()))
                .map(|found| format!("{name}: {found}")),
        );
    }
    assert_none(&problems, "this crate must do without");
}

#[test]
fn the_command_line_links_neither_our_other_crates_nor_a_database() {
    let problems: Vec<_> = linked("cli")
        .into_iter()
        .filter(|found| {
            found.starts_with("lectern-") || ["sqlx", "redis", "axum"].contains(&found.as_str())
        })
        .collect();
    assert_none(&problems, "it goes through the HTTP API, like everybody");
}

/// What a crate depends on, its tests aside.
fn linked(name: &str) -> Vec<String> {
    let manifest = read(format!("{name}/Cargo.toml"));
    let (_, after) = manifest
        .split_once("\n[dependencies]\n")
        .expect("a section of dependencies");
    let section = after.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names.map(str::to_owned).collect()
}
