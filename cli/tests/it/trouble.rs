//! What goes wrong, how it is told, and with which code the command ends.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Lectern, ended};

#[tokio::test]
async fn each_kind_of_trouble_has_its_exit_code_and_its_next_step() {
    let lectern = Lectern::start().await;
    let url = format!("http://{}", lectern.address());
    let cases: &[(&[&str], i32, &str)] = &[
        (&["list", "--limit", "0"], 1, "`limit` goes from 1"),
        (&["list", "--sort", "--nonsense"], 1, "`sort` is one of"),
        (&["add"], 2, "required"),
        (&["ask", "?", "--filter", "[1]"], 2, "JSON object"),
        (&["status", "nothing.pdf"], 3, "lectern list"),
        (
            &["status", "01a20772-3af4-72fd-8809-0efd0471f922"],
            3,
            "Check the id",
        ),
        (&["add", "nothing.pdf"], 3, "there is no file"),
        (&["add", ".", "-c", "nowhere"], 3, "--create"),
        (&["list", "--key", "wrong"], 4, "lectern login"),
        (
            &["list", "--url", "http://127.0.0.1:9"],
            5,
            "Check that Lectern runs there",
        ),
        (&["list", "--url", "localhost"], 2, "is no address"),
        (&["search", ""], 1, "The question is empty"),
    ];
    lectern.write("a.md", "text");
    for (arguments, code, next) in cases {
        let ended = lectern.run(arguments).await;
        assert_eq!(ended.code, *code, "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(next), "{arguments:?}: {ended:?}");
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    let json = lectern.run(&["list", "--key", "wrong", "--json"]).await;
    let error: Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["error"]["code"], "unauthorized", "{url}");
}

#[tokio::test]
async fn a_key_is_stored_after_it_was_tried_for_its_owner_alone() {
    let lectern = Lectern::start().await;
    let url = format!("http://{}", lectern.address());
    let file = lectern.home.path().join(".config/lectern/config.toml");

    let wrong = ended(lectern.stranger(&["login", &url, "--key", "wrong"])).await;
    assert_eq!(wrong.code, 4, "{wrong:?}");
    assert!(!file.exists());
    let stored = ended(lectern.stranger(&["login", &url, "--key", "lectern-dev"])).await;
    assert_eq!(stored.code, 0, "{stored:?}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let listed = ended(lectern.stranger(&["list"])).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    let shown = ended(lectern.stranger(&["config"])).await;
    assert!(shown.out.contains(&url), "{shown:?}");
    let elsewhere = ended(lectern.stranger(&["config", "--url", "http://elsewhere.example"])).await;
    assert!(
        elsewhere.out.contains("key         none"),
        "a key is for its own server: {elsewhere:?}"
    );
    assert_eq!(ended(lectern.stranger(&["logout"])).await.code, 0);
    let forgotten = ended(lectern.stranger(&["list"])).await;
    assert_eq!(forgotten.code, 4, "{forgotten:?}");
}

#[tokio::test]
async fn a_reader_who_has_left_ends_the_command_without_a_word() {
    let lectern = Lectern::start().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = lectern.command(&["config"]);
    command.stdout(writer);
    let ended = ended_with_stderr(command).await;
    assert_eq!(ended, (Some(141), String::new()));
}

async fn ended_with_stderr(mut command: tokio::process::Command) -> (Option<i32>, String) {
    let child = command.spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn shells_get_their_completions_without_a_server() {
    let lectern = Lectern::start().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = ended(lectern.stranger(&["completions", shell])).await;
        assert_eq!(script.code, 0);
        assert!(script.out.contains("lectern"), "{shell}");
    }
}
