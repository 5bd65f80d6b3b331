//! `lectern list`, `status` and `rm`.

use crate::support::Lectern;

#[tokio::test]
async fn documents_are_listed_looked_at_and_deleted_by_their_names() {
    let lectern = Lectern::start().await;
    for name in ["a", "b", "c"] {
        lectern.write(&format!("in/{name}.md"), format!("# {name}\n\nText."));
    }
    let added = lectern.run(&["add", "in", "--no-wait"]).await;
    assert_eq!(added.code, 0, "{added:?}");

    let page = lectern
        .run(&["list", "--sort", "name", "--limit", "2"])
        .await;
    let lines: Vec<_> = page.out.lines().collect();
    assert!(lines[0].starts_with("ID "), "{page:?}");
    assert!(
        lines[1].ends_with("default     a.md") && lines.len() == 3,
        "{page:?}"
    );
    let cursor = page.err.rsplit(' ').next().unwrap().trim();
    let next = lectern
        .run(&["list", "--sort", "name", "--limit", "2", "--cursor", cursor])
        .await;
    assert!(
        next.out.contains("c.md") && !next.out.contains("b.md"),
        "{next:?}"
    );

    let status = lectern.run(&["status", "b.md"]).await;
    assert!(status.out.contains("state      queued"), "{status:?}");
    let server = lectern.run(&["status"]).await;
    assert_eq!(server.code, 5, "no worker is alive: {server:?}");
    assert!(server.out.contains("workers    down"), "{server:?}");

    let unasked = lectern.run(&["rm", "b.md"]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    let wrong = lectern.run(&["rm", "--yes", "b.md", "d.md"]).await;
    assert_eq!(wrong.code, 3, "{wrong:?}");
    let removed = lectern.run(&["rm", "--yes", "b.md", "c.md"]).await;
    assert_eq!(removed.out, "deleted: b.md\ndeleted: c.md\n", "{removed:?}");
    let left = lectern.json(&["list"]).await;
    assert_eq!(left["documents"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_server_is_told_with_its_model_and_its_work() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.write("a.md", "# A\n\nText.");
    assert_eq!(lectern.run(&["add", "a.md"]).await.code, 0);
    let status = lectern.run(&["status"]).await;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(
        status.out.contains("model      all-MiniLM-L6-v2"),
        "{status:?}"
    );
    assert!(
        status
            .out
            .contains("documents  0 waiting, 0 being read, 0 failed"),
        "{status:?}"
    );
}
