//! The lexicon while documents come and go.

use std::time::Duration;

use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT, DocumentId},
    store::{
        documents::{self, Completion},
        jobs::{self, Limits},
        lexicon::{self, Merge, NewSegment, Snapshot},
        models::{self, ModelIdentity},
        reach::Reach,
        versions::{self, Added, Facts, NewFile},
    },
    testing::Place,
};

fn collection() -> CollectionId {
    CollectionId("00000000-0000-7000-8000-000000000002".parse().unwrap())
}

fn identity() -> ModelIdentity {
    ModelIdentity {
        name: "test".to_owned(),
        revision: "0".repeat(64),
        dimensions: 4,
        pooling: "mean".to_owned(),
        quantization: "fp32".to_owned(),
        max_tokens: 256,
    }
}

/// A document of one chunk that has the term "pump" and one of its own; a new version of it if there is one.
async fn ingest(place: &Place, name: &str, content: &str) -> DocumentId {
    let limits = Limits::from(&place.settings);
    let file = NewFile {
        tenant: DEFAULT_TENANT,
        media_type: "text/plain",
        bytes: 1,
        sha256: content.as_bytes(),
        blob_key: content,
    };
    let at = versions::Place {
        collection: collection(),
        name,
        force: false,
    };
    let added = versions::add(&place.pool, &at, &file, &Facts::default(), None, &limits).await;
    let Added::Made(made) = added.unwrap() else {
        panic!("{content} twice")
    };
    let lease = Duration::from_secs(60);
    let job = jobs::claim(&place.pool, made.job.id, "test", lease)
        .await
        .unwrap()
        .unwrap();
    let document = documents::begin_ingest(&place.pool, &job)
        .await
        .unwrap()
        .unwrap();
    let segment = NewSegment {
        chunks: 1,
        words: 2,
        languages: vec!["en".to_owned()],
        postings: ["pump", content]
            .into_iter()
            .map(|term| (term.to_owned(), vec![0, 1, 2]))
            .collect(),
    };
    assert!(
        lexicon::insert(&place.pool, &job, &document, &segment)
            .await
            .unwrap()
    );
    let completion = Completion {
        title: None,
        pages: 1,
        chunks: 1,
        notes: &[],
        language: Some("en"),
        model: models::adopt(&place.pool, &identity()).await.unwrap(),
        request_index: false,
    };
    documents::complete_ingest(&place.pool, &job, &document, &completion, &limits)
        .await
        .unwrap()
        .unwrap();
    made.document
}

/// Segments, and how many of their chunks no search may see.
async fn state(place: &Place) -> (usize, i32) {
    let mut snapshot = Snapshot::open(&place.pool, DEFAULT_TENANT, collection())
        .await
        .unwrap();
    let hidden = snapshot.hidden().await.unwrap();
    let chunks = hidden.iter().map(|stretch| stretch.chunks).sum();
    (snapshot.segments().len(), chunks)
}

async fn begin_merge(place: &Place) -> Merge {
    let ids: Vec<i64> = lexicon::mergeable(&place.pool, collection())
        .await
        .unwrap()
        .iter()
        .map(|segment| segment.id)
        .collect();
    Merge::begin(&place.pool, &ids).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_document_that_goes_while_segments_are_merged_is_hidden_in_the_merged_one() {
    let place = Place::new().await.unwrap();
    let first = ingest(&place, "first", "a").await;
    ingest(&place, "second", "b").await;
    let third = ingest(&place, "third", "c").await;
    let merge = begin_merge(&place).await;
    assert_eq!(merge.sources().len(), 3);

    documents::delete(&place.pool, &Reach::all(DEFAULT_TENANT), first, None)
        .await
        .unwrap();
    assert!(
        !merge.finish(&place.pool, &["en".to_owned()]).await.unwrap(),
        "its segment has gone"
    );
    assert_eq!(state(&place).await, (2, 0));

    let merge = begin_merge(&place).await;
    assert!(merge.finish(&place.pool, &["en".to_owned()]).await.unwrap());
    assert_eq!(state(&place).await, (1, 0));
    // Now a segment of two: deleting one hides it, and the next merge leaves it out.
    let merge = begin_merge(&place).await;
    documents::delete(&place.pool, &Reach::all(DEFAULT_TENANT), third, None)
        .await
        .unwrap();
    assert!(merge.finish(&place.pool, &["en".to_owned()]).await.unwrap());
    assert_eq!(state(&place).await, (1, 1));
    let merge = begin_merge(&place).await;
    assert!(merge.finish(&place.pool, &["en".to_owned()]).await.unwrap());
    assert_eq!(state(&place).await, (1, 0));
}

#[tokio::test]
async fn a_new_version_hides_the_old_one_in_a_merged_segment() {
    let place = Place::new().await.unwrap();
    ingest(&place, "first", "a").await;
    ingest(&place, "second", "b").await;
    assert!(
        begin_merge(&place)
            .await
            .finish(&place.pool, &[])
            .await
            .unwrap()
    );
    assert_eq!(state(&place).await, (1, 0));
    ingest(&place, "first", "c").await;
    assert_eq!(state(&place).await, (2, 1));
}

#[tokio::test]
async fn of_two_merges_of_the_same_segments_one_wins_and_the_other_leaves_nothing() {
    let place = Place::new().await.unwrap();
    ingest(&place, "first", "a").await;
    ingest(&place, "second", "b").await;
    let (one, other) = (begin_merge(&place).await, begin_merge(&place).await);
    let rows = vec![("pump".to_owned(), vec![0, 1, 2, 0, 1, 2])];
    one.write(&place.pool, &rows).await.unwrap();
    other.write(&place.pool, &rows).await.unwrap();
    assert!(one.finish(&place.pool, &[]).await.unwrap());
    assert!(!other.finish(&place.pool, &[]).await.unwrap());
    assert_eq!(state(&place).await, (1, 0));
    let postings: i64 = sqlx::query_scalar("select count(*) from postings")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    assert_eq!(postings, 1);
}

#[tokio::test]
async fn a_merge_that_was_killed_leaves_nothing_after_the_next_one() {
    let place = Place::new().await.unwrap();
    ingest(&place, "first", "a").await;
    let _killed = begin_merge(&place).await;
    assert_eq!(state(&place).await.0, 2);
    lexicon::drop_abandoned(&place.pool, collection())
        .await
        .unwrap();
    assert_eq!(state(&place).await, (1, 0));
}
