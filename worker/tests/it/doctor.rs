//! The doctor: each thing that it looks for is caused, found and mended.

use std::process::Command;

use serde_json::json;

use crate::support::{Lectern, own_file};

impl Lectern {
    /// What the doctor says, and whether it has found something.
    fn doctor(&self, arguments: &[&str]) -> (String, bool) {
        let output = Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("doctor")
            .args(arguments)
            .args(["--doctor-grace-seconds", "0"])
            .envs(self.place.environment())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let code = output.status.code();
        assert!(
            matches!(code, Some(0 | 1)),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        (said, code == Some(1))
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement)
            .execute(&self.place.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_doctor_finds_what_has_lost_each_other_and_mends_it() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    let whole = lectern.add_ready(&own_file("coffee.pdf")).await;
    let missing = lectern.add_ready(&own_file("handbook.pdf")).await;
    assert!(worker.stop().await.success());
    assert_eq!(lectern.doctor(&[]), ("nothing found\n".to_owned(), false));

    // A file without a row.
    let blobs = std::path::PathBuf::from(&lectern.place.settings.blobs);
    std::fs::write(blobs.join("left-behind"), "x").unwrap();
    // A row without its file.
    let key: String = sqlx::query_scalar(
        "select blob_key from versions join documents on id = document_id where name = 'handbook.pdf'",
    )
    .fetch_one(&lectern.place.pool)
    .await
    .unwrap();
    std::fs::remove_file(blobs.join(key)).unwrap();
    // A document that waits for nothing, a file that is to go without a job, rows of a version that nobody makes,
    // a job of what is gone, one whose worker died an hour ago, and an index whose build failed.
    lectern
        .sql(
            "insert into documents (id, tenant_id, collection_id, name)
             select gen_random_uuid(), tenant_id, id, 'waiting' from collections;
             insert into versions (document_id, number, tenant_id, sha256, bytes, media_type, blob_key)
             select waiting.id, 1, tenant_id, '', 1, 'application/pdf', (
                 select blob_key from versions join documents on id = document_id where name = 'coffee.pdf')
             from documents waiting where name = 'waiting';
             insert into removals (blob_key, purge, tenant_id)
             select 'gone', gen_random_uuid(), id from tenants;
             insert into pages (tenant_id, document_id, version, number, text)
             select tenant_id, id, 7, 1, 'stray' from documents where name = 'coffee.pdf';
             insert into jobs (id, tenant_id, kind, queue, subject, max_attempts)
             select gen_random_uuid(), id, 'ingest', 'ingest', gen_random_uuid(), 4 from tenants;
             insert into jobs (id, tenant_id, kind, queue, subject, max_attempts, state, attempt, lease_until)
             select gen_random_uuid(), id, 'purge', 'maintenance', gen_random_uuid(), 4, 'running', 1,
                 now() - interval '1 hour'
             from tenants;
             create index chunks_embedding_hnsw on chunks using hnsw (embedding halfvec_cosine_ops);
             update pg_index set indisvalid = false where indexrelid = 'chunks_embedding_hnsw'::regclass;",
        )
        .await;
    let (said, found) = lectern.doctor(&[]);
    assert!(found);
    for finding in [
        "file without a row: left-behind: would be deleted",
        "document without its file",
        "file to be deleted, without a job: gone",
        "pages of versions that nobody sees or makes: 1",
        "of what is gone: would be cancelled",
        "whose worker is long dead",
        "is queued without a job",
        "the vector index is invalid",
        "8 found; run again with --repair",
    ] {
        assert!(said.contains(finding), "{finding}: {said}");
    }
    assert!(blobs.join("left-behind").exists(), "it only looked");

    let (said, found) = lectern.doctor(&["--repair"]);
    assert!(found && said.contains("8 found and mended"), "{said}");
    let _worker = lectern.worker();
    let path = format!("/api/v1/documents/{}", missing["id"].as_str().unwrap());
    let told = lectern.get(&path).await;
    assert_eq!(
        (&told["state"], &told["failure"]["code"], &told["version"]),
        (&json!("failed"), &json!("file_missing"), &json!(1))
    );
    // It says to upload it again, and that helps.
    assert_eq!(lectern.add(&own_file("handbook.pdf")).await, missing["id"]);
    assert_eq!(
        lectern.settled(missing["id"].as_str().unwrap()).await["version"],
        2
    );
    lectern
        .poll("/api/v1/documents?state=ready", |list| {
            list["documents"].as_array().unwrap().len() == 3
        })
        .await;
    let began = std::time::Instant::now();
    while lectern
        .count("jobs where state in ('queued', 'running')")
        .await
        > 0
    {
        assert!(began.elapsed().as_secs() < 60, "a job is left");
    }
    assert!(!blobs.join("left-behind").exists());
    assert_eq!(lectern.count("removals").await, 0);
    assert_eq!(lectern.doctor(&[]), ("nothing found\n".to_owned(), false));
    let path = format!("/api/v1/documents/{}", whole["id"].as_str().unwrap());
    assert_eq!(
        lectern.get(&path).await["state"],
        "ready",
        "what was whole is untouched"
    );
}
