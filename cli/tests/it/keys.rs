//! `lectern keys`, and the collection that a command need not name.

use crate::support::{Lectern, ended};

#[tokio::test]
async fn a_key_is_made_used_listed_and_revoked() {
    let lectern = Lectern::start().await;
    let made = lectern
        .run(&[
            "keys",
            "create",
            "ci",
            "--scope",
            "read",
            "--scope",
            "write",
            "--requests-per-minute",
            "30",
        ])
        .await;
    assert_eq!(made.code, 0, "{made:?}");
    let key = made.out.trim();
    assert!(key.starts_with("lectern_sk_"), "{made:?}");
    let list = async |key: &str| lectern.run(&["list", "--key", key]).await;
    assert_eq!(list(key).await.code, 0);
    // It may not make others.
    let refused = ["keys", "create", "more", "--scope", "read", "--key", key];
    let refused = lectern.run(&refused).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("`admin`"), "{refused:?}");

    let shown = lectern.run(&["keys", "list"]).await;
    let line = shown.out.lines().find(|line| line.contains(" ci "));
    let line = line.unwrap_or_else(|| panic!("{shown:?}"));
    assert!(line.contains("read,write") && line.contains("valid"));
    assert!(!shown.out.contains(key), "{shown:?}");
    let keys = lectern.json(&["keys", "list"]).await;
    let found = keys["keys"].as_array().unwrap().iter();
    let found = found.filter(|key| key["name"] == "ci").collect::<Vec<_>>();
    assert_eq!(found[0]["requests_per_minute"], 30, "{keys}");

    let id = found[0]["id"].as_str().unwrap();
    let revoked = lectern.run(&["keys", "revoke", id]).await;
    assert_eq!(revoked.out, format!("revoked: {id}\n"), "{revoked:?}");
    assert_eq!(list(key).await.code, 4);
    let again = lectern.run(&["keys", "revoke", id]).await;
    assert_eq!(again.code, 3, "{again:?}");
    let shown = lectern.run(&["keys", "list"]).await;
    assert!(shown.out.contains("revoked "), "{shown:?}");
}

#[tokio::test]
async fn a_collection_is_that_of_the_command_else_of_the_environment_else_of_the_file() {
    let lectern = Lectern::start().await;
    let url = format!("http://{}", lectern.address());
    lectern.write("a.md", "# A\n\nText.");
    for name in ["stored", "named", "told"] {
        let added = ["add", "a.md", "--create", "--no-wait", "-c", name];
        assert_eq!(lectern.run(&added).await.code, 0, "{name}");
    }
    let login = [
        "login",
        &url,
        "--key",
        "lectern-dev",
        "--default-collection",
        "stored",
    ];
    let login = ended(lectern.stranger(&login)).await;
    assert_eq!(login.code, 0, "{login:?}");
    let list = async |environment: Option<&str>, more: &[&str]| {
        let mut command = lectern.stranger(&[&["list"], more].concat());
        if let Some(collection) = environment {
            command.env("LECTERN_COLLECTION", collection);
        }
        ended(command).await.out
    };
    for (environment, more, expected) in [
        (None, [].as_slice(), "stored"),
        (Some("named"), &[], "named"),
        (Some("named"), &["-c", "told"], "told"),
    ] {
        let listed = list(environment, more).await;
        let lines: Vec<_> = listed.lines().collect();
        assert_eq!(lines.len(), 2, "{listed}");
        assert!(lines[1].contains(expected), "{listed}");
    }
    // Where it was stored for it is this server, and no other.
    let shown = ended(lectern.stranger(&["config"])).await;
    assert!(shown.out.contains("collection  stored"), "{shown:?}");
    let elsewhere = ended(lectern.stranger(&["config", "--url", "http://elsewhere.example"])).await;
    assert!(elsewhere.out.contains("collection  none"), "{elsewhere:?}");
}
