//! Whose turn it is, and how long what waits may still take.

use std::time::Duration;

use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT, DocumentId, TenantId},
    jobs::Queue,
    store::{
        jobs::{self, Claimed, Limits, Progress},
        versions::{self, Added, Facts, NewFile},
        work,
    },
    testing::Place,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

async fn other_tenant(place: &Place) -> (TenantId, CollectionId) {
    let (tenant, collection) = (TenantId::fresh(), CollectionId::fresh());
    sqlx::query("insert into tenants (id, name) values ($1, 'other')")
        .bind(tenant.0)
        .execute(&place.pool)
        .await
        .unwrap();
    sqlx::query("insert into collections (id, tenant_id, name) values ($1, $2, 'default')")
        .bind(collection.0)
        .bind(tenant.0)
        .execute(&place.pool)
        .await
        .unwrap();
    (tenant, collection)
}

async fn upload(place: &Place, tenant: TenantId, collection: CollectionId) -> DocumentId {
    let content = Uuid::now_v7();
    let file = NewFile {
        tenant,
        media_type: "application/pdf",
        bytes: 1,
        sha256: content.as_bytes(),
        blob_key: "key",
    };
    let at = versions::Place {
        collection,
        name: "manual.pdf",
        force: true,
    };
    let limits = Limits::from(&place.settings);
    let added = versions::add(&place.pool, &at, &file, &Facts::default(), None, &limits).await;
    let Added::Made(made) = added.unwrap() else {
        panic!("a document of its own")
    };
    made.document
}

fn own_collection() -> CollectionId {
    CollectionId("00000000-0000-7000-8000-000000000002".parse().unwrap())
}

async fn take(place: &Place) -> Claimed {
    jobs::claim_in_turn(&place.pool, Queue::Ingest, "w", LEASE)
        .await
        .unwrap()
        .unwrap()
}

async fn finish(place: &Place, job: &Claimed) {
    let mut connection = place.pool.acquire().await.unwrap();
    assert!(
        jobs::finish(&mut connection, job.id, job.attempt)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn one_worker_serves_tenants_in_turns_however_many_jobs_stand_before() {
    let place = Place::new().await.unwrap();
    let (quiet, collection) = other_tenant(&place).await;
    for _ in 0..5 {
        upload(&place, DEFAULT_TENANT, own_collection()).await;
    }
    for _ in 0..2 {
        upload(&place, quiet, collection).await;
    }
    let mut served = Vec::new();
    for _ in 0..7 {
        let job = take(&place).await;
        served.push(job.tenant == quiet);
        finish(&place, &job).await;
    }
    // Both were never served at first: the older job decides.
    assert_eq!(served, [false, true, false, true, false, false, false]);
    assert!(
        jobs::claim_in_turn(&place.pool, Queue::Ingest, "w", LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_tenant_whose_jobs_take_long_gets_no_more_places_than_another() {
    let place = Place::new().await.unwrap();
    let (quick, collection) = other_tenant(&place).await;
    for _ in 0..4 {
        upload(&place, DEFAULT_TENANT, own_collection()).await;
    }
    for _ in 0..3 {
        upload(&place, quick, collection).await;
    }
    let slow = take(&place).await;
    assert_eq!(slow.tenant, DEFAULT_TENANT);
    // As long as its first job runs, the second place is the other one's.
    for _ in 0..3 {
        let job = take(&place).await;
        assert_eq!(job.tenant, quick);
        finish(&place, &job).await;
    }
    assert_eq!(
        take(&place).await.tenant,
        DEFAULT_TENANT,
        "no place stays empty"
    );
}

#[tokio::test]
async fn of_many_workers_that_take_turns_no_two_get_the_same_job_and_none_goes_without() {
    let place = Place::new().await.unwrap();
    for _ in 0..12 {
        upload(&place, DEFAULT_TENANT, own_collection()).await;
    }
    let claims = (0..12).map(|_| take(&place));
    let mut taken: Vec<_> = futures::future::join_all(claims)
        .await
        .into_iter()
        .map(|job| job.id)
        .collect();
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 12);
}

#[tokio::test]
async fn what_waits_is_told_how_many_are_before_it_and_when_it_may_be_done() {
    let place = Place::new().await.unwrap();
    let (other, collection) = other_tenant(&place).await;
    let mut ours = Vec::new();
    for _ in 0..3 {
        ours.push(upload(&place, DEFAULT_TENANT, own_collection()).await);
    }
    for _ in 0..9 {
        upload(&place, other, collection).await;
    }
    let find = || work::of(&place.pool, DEFAULT_TENANT, &ours);
    let by_age = |mut found: Vec<work::Work>| {
        found.sort_by_key(|work| work.document);
        found
    };
    let found = by_age(find().await.unwrap());
    // Before our third come two of ours and two of the other's nine.
    let ahead: Vec<_> = found.iter().map(|work| work.ahead).collect();
    assert_eq!(ahead, [Some(0), Some(2), Some(4)]);
    assert!(
        found
            .iter()
            .all(|work| work.stage == "queued" && work.estimated_end.is_none()),
        "nobody works, so nobody knows: {found:?}"
    );
    assert_eq!((found[0].attempt, found[0].attempts_max), (0, 4));

    // One worker, whose last ingest took a minute.
    sqlx::query(
        "insert into jobs (id, tenant_id, kind, queue, subject, state, max_attempts, started_at, finished_at)
         values ($1, $2, 'ingest', 'ingest', $1, 'done', 4, now() - interval '60 seconds', now())",
    )
    .bind(Uuid::now_v7())
    .bind(other.0)
    .execute(&place.pool)
    .await
    .unwrap();
    lectern_shared::store::workers::report(&place.pool, "w", "0", "model")
        .await
        .unwrap();
    let found = by_age(find().await.unwrap());
    let ends: Vec<_> = found
        .iter()
        .map(|work| work.estimated_end.unwrap())
        .collect();
    assert_eq!((ends[2] - ends[0]).num_seconds(), 240);
    assert_eq!((ends[1] - ends[0]).num_seconds(), 120);
    // Of another tenant's documents nothing is told.
    assert!(
        work::of(&place.pool, other, &ours)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_runs_is_told_with_its_rate_and_what_failed_with_its_next_attempt() {
    let place = Place::new().await.unwrap();
    let document = upload(&place, DEFAULT_TENANT, own_collection()).await;
    let job = take(&place).await;
    let find = async || {
        work::of(&place.pool, DEFAULT_TENANT, &[document])
            .await
            .unwrap()
            .remove(0)
    };
    let progress = Progress {
        done: 20,
        total: 80,
        rate: Some(2.0),
    };
    jobs::note_progress(
        &place.pool,
        job.id,
        job.attempt,
        "embedding",
        Some(progress),
    )
    .await
    .unwrap();
    let work = find().await;
    assert_eq!(
        (work.stage.as_str(), work.done, work.total, work.rate),
        ("embedding", Some(20), Some(80), Some(2.0))
    );
    assert_eq!((work.attempt, work.attempts_max), (1, 4));
    let noted_at: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select progress_at from jobs")
            .fetch_one(&place.pool)
            .await
            .unwrap();
    assert_eq!((work.estimated_end.unwrap() - noted_at).num_seconds(), 30);

    assert!(
        jobs::retry_later(&place.pool, &job, Duration::from_secs(60), "busy")
            .await
            .unwrap()
    );
    let work = find().await;
    assert_eq!((work.stage.as_str(), work.done), ("retrying", None));
    assert!(work.retry_at.is_some() && work.ahead.is_none());
    // One that was handed back doesn't count as tried.
    sqlx::query("update jobs set run_at = now(), dispatched_at = now()")
        .execute(&place.pool)
        .await
        .unwrap();
    let job = take(&place).await;
    assert_eq!(find().await.attempt, 2);
    assert!(jobs::hand_back(&place.pool, &job).await.unwrap());
    let work = find().await;
    assert_eq!((work.attempt, work.attempts_max), (1, 4));
}
