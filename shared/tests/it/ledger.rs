//! Jobs: claimed once, given back, given up, and sent out fairly.

use std::time::Duration;

use lectern_shared::{
    config::Quotas,
    ids::{DEFAULT_TENANT, JobId, TenantId},
    jobs::{Kind, Queue},
    store::{
        self, StoreError,
        jobs::{self, Cancel, End, Enqueued, Lease, Limits, NewJob},
    },
    testing::Place,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        dispatch_max: 1000,
        dispatch_tenant_max: 64,
        queue_tenant_max: 100,
        attempts_max: 2,
        quotas: Quotas::default(),
    }
}

async fn enqueue(place: &Place, tenant: TenantId, limits: &Limits) -> Enqueued {
    let mut connection = place.pool.acquire().await.unwrap();
    let job = NewJob {
        tenant,
        kind: Kind::Ingest,
        subject: Uuid::now_v7(),
        request_id: None,
    };
    jobs::enqueue(&mut connection, &job, limits).await.unwrap()
}

async fn state(place: &Place, id: JobId) -> String {
    sqlx::query_scalar("select state from jobs where id = $1")
        .bind(id.0)
        .fetch_one(&place.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn of_many_workers_exactly_one_gets_a_job() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    let claims = (0..16).map(|worker| {
        let pool = place.pool.clone();
        tokio::spawn(async move {
            jobs::claim(&pool, job.id, &worker.to_string(), LEASE)
                .await
                .unwrap()
        })
    });
    let claims = futures::future::join_all(claims).await;
    assert_eq!(
        claims
            .into_iter()
            .filter(|claim| claim.as_ref().unwrap().is_some())
            .count(),
        1
    );
}

#[tokio::test]
async fn an_expired_lease_goes_back_to_the_queue_and_at_last_to_the_dead_letters() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    for attempt in 1..=2 {
        let claimed = jobs::claim(&place.pool, job.id, "w", Duration::ZERO)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (claimed.attempt, claimed.is_last_attempt),
            (attempt, attempt == 2)
        );
        let (recovered, buried) = jobs::recover_expired(&place.pool).await.unwrap();
        assert_eq!(
            (recovered, buried.len()),
            if attempt == 1 { (1, 0) } else { (0, 1) }
        );
    }
    assert_eq!(state(&place, job.id).await, "dead");
    assert!(
        jobs::claim(&place.pool, job.id, "w", LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_job_that_is_handed_back_does_not_count_as_tried() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    for _ in 0..5 {
        let claimed = jobs::claim(&place.pool, job.id, "w", LEASE)
            .await
            .unwrap()
            .unwrap();
        assert!(!claimed.is_last_attempt);
        assert!(jobs::hand_back(&place.pool, &claimed).await.unwrap());
    }
}

#[tokio::test]
async fn a_job_that_is_to_be_tried_later_is_not_due_before() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    let claimed = jobs::claim(&place.pool, job.id, "w", LEASE)
        .await
        .unwrap()
        .unwrap();
    assert!(
        jobs::retry_later(&place.pool, &claimed, Duration::from_secs(600), "busy")
            .await
            .unwrap()
    );
    assert!(
        jobs::claim(&place.pool, job.id, "w", LEASE)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_wake_up_that_was_lost_is_sent_again_but_not_before_its_time() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    assert!(job.wake);
    assert!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits())
            .await
            .unwrap()
            .is_empty()
    );
    sqlx::query("update jobs set dispatched_at = now() - interval '31 seconds'")
        .execute(&place.pool)
        .await
        .unwrap();
    assert_eq!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits())
            .await
            .unwrap(),
        [job.id]
    );
    jobs::mark_undispatched(&place.pool, &[job.id])
        .await
        .unwrap();
    assert_eq!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits())
            .await
            .unwrap(),
        [job.id]
    );
}

#[tokio::test]
async fn a_tenant_with_many_uploads_does_not_stand_before_one_with_few() {
    let place = Place::new().await.unwrap();
    let limits = Limits {
        dispatch_max: 6,
        dispatch_tenant_max: 4,
        ..limits()
    };
    let (busy, quiet) = (DEFAULT_TENANT, TenantId::fresh());
    let mut sent = 0;
    for _ in 0..20 {
        sent += u32::from(enqueue(&place, busy, &limits).await.wake);
    }
    assert_eq!(sent, 4, "no more than a tenant's share goes out at once");
    let late = enqueue(&place, quiet, &limits).await;
    assert!(late.wake, "the other one's share is free");
    // Nothing is sent beyond the limit of the queue, and the busy tenant has its share already.
    assert!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits)
            .await
            .unwrap()
            .is_empty()
    );
    // Once its four are taken, the next four go out, the other's new ones in between.
    for id in sqlx::query_scalar::<_, Uuid>(
        "select id from jobs where dispatched_at is not null and tenant_id = $1",
    )
    .bind(busy.0)
    .fetch_all(&place.pool)
    .await
    .unwrap()
    {
        jobs::claim(&place.pool, JobId(id), "w", LEASE)
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits)
            .await
            .unwrap()
            .len(),
        4
    );
}

#[tokio::test]
async fn two_sweeps_at_once_send_no_wake_up_twice() {
    let place = Place::new().await.unwrap();
    let none = Limits {
        dispatch_tenant_max: 0,
        ..limits()
    };
    for _ in 0..50 {
        enqueue(&place, DEFAULT_TENANT, &none).await;
    }
    let sweeps = (0..4).map(|_| async {
        jobs::due_for_dispatch(&place.pool, Queue::Ingest, &limits())
            .await
            .unwrap()
    });
    let mut sent: Vec<JobId> = futures::future::join_all(sweeps).await.concat();
    assert_eq!(sent.len(), 50);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 50);
}

#[tokio::test]
async fn a_job_is_cancelled_at_once_while_it_waits_and_at_the_next_look_while_it_runs() {
    let place = Place::new().await.unwrap();
    let subject = |id: JobId| {
        let pool = place.pool.clone();
        async move {
            sqlx::query_scalar::<_, Uuid>("select subject from jobs where id = $1")
                .bind(id.0)
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    let waiting = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    let found = subject(waiting.id).await;
    assert_eq!(
        jobs::cancel(&place.pool, TenantId::fresh(), found)
            .await
            .unwrap(),
        Cancel::Nothing
    );
    assert_eq!(
        jobs::cancel(&place.pool, DEFAULT_TENANT, found)
            .await
            .unwrap(),
        Cancel::Done { attempts: 0 }
    );
    assert_eq!(state(&place, waiting.id).await, "cancelled");
    assert_eq!(
        jobs::cancel(&place.pool, DEFAULT_TENANT, found)
            .await
            .unwrap(),
        Cancel::Nothing
    );

    let running = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    let claimed = jobs::claim(&place.pool, running.id, "w", LEASE)
        .await
        .unwrap()
        .unwrap();
    let found = subject(running.id).await;
    assert_eq!(
        jobs::cancel(&place.pool, DEFAULT_TENANT, found)
            .await
            .unwrap(),
        Cancel::Requested(running.id)
    );
    assert_eq!(
        jobs::renew(&place.pool, running.id, claimed.attempt, LEASE)
            .await
            .unwrap(),
        Lease::CancelRequested
    );
    assert!(
        jobs::end(&place.pool, &claimed, End::Cancelled, None)
            .await
            .unwrap()
    );
    assert_eq!(
        jobs::renew(&place.pool, running.id, claimed.attempt, LEASE)
            .await
            .unwrap(),
        Lease::Lost
    );
}

#[tokio::test]
async fn a_renewal_that_waits_for_the_end_of_its_own_job_finds_it_done_and_not_lost() {
    let place = Place::new().await.unwrap();
    let job = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    let claimed = jobs::claim(&place.pool, job.id, "w", LEASE)
        .await
        .unwrap()
        .unwrap();
    let mut tx = store::transaction(&place.pool).await.unwrap();
    assert!(
        jobs::finish(&mut tx, job.id, claimed.attempt)
            .await
            .unwrap()
    );
    let (pool, attempt) = (place.pool.clone(), claimed.attempt);
    let renewal = tokio::spawn(async move { jobs::renew(&pool, job.id, attempt, LEASE).await });
    // Until it waits for the row.
    let waits = "select exists (select from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(&place.pool)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
    tx.commit().await.unwrap();
    assert_eq!(renewal.await.unwrap().unwrap(), Lease::Done);
    assert_eq!(
        jobs::renew(&place.pool, job.id, attempt + 1, LEASE)
            .await
            .unwrap(),
        Lease::Lost
    );
}

#[tokio::test]
async fn a_second_job_of_a_subject_counts_its_attempts_on() {
    let place = Place::new().await.unwrap();
    let subject = Uuid::now_v7();
    let job = NewJob {
        tenant: DEFAULT_TENANT,
        kind: Kind::Ingest,
        subject,
        request_id: None,
    };
    let mut attempts = Vec::new();
    for _ in 0..2 {
        let mut connection = place.pool.acquire().await.unwrap();
        let enqueued = jobs::enqueue(&mut connection, &job, &limits())
            .await
            .unwrap();
        for _ in 0..2 {
            let claimed = jobs::claim(&place.pool, enqueued.id, "w", Duration::ZERO)
                .await
                .unwrap()
                .unwrap();
            attempts.push(claimed.attempt);
        }
        assert!(
            jobs::claim(&place.pool, enqueued.id, "w", LEASE)
                .await
                .unwrap()
                .is_none()
        );
    }
    assert_eq!(attempts, [1, 2, 4, 5]);
}

#[tokio::test]
async fn a_tenant_whose_queue_is_full_is_refused_and_others_are_not() {
    let place = Place::new().await.unwrap();
    let limits = Limits {
        queue_tenant_max: 3,
        ..limits()
    };
    for _ in 0..3 {
        enqueue(&place, DEFAULT_TENANT, &limits).await;
    }
    let mut connection = place.pool.acquire().await.unwrap();
    let job = |tenant, kind| NewJob {
        tenant,
        kind,
        subject: Uuid::now_v7(),
        request_id: None,
    };
    let refused = jobs::enqueue(&mut connection, &job(DEFAULT_TENANT, Kind::Ingest), &limits).await;
    assert!(matches!(refused, Err(StoreError::QueueFull)), "{refused:?}");
    // What deletes is always taken, and so is another queue's or another tenant's.
    for (tenant, kind) in [
        (DEFAULT_TENANT, Kind::Purge),
        (DEFAULT_TENANT, Kind::Answer),
        (TenantId::fresh(), Kind::Ingest),
    ] {
        jobs::enqueue(&mut connection, &job(tenant, kind), &limits)
            .await
            .unwrap();
    }
}

/// A build that waits must not stand in the way of one whose worker died, nor of anybody else's jobs.
#[tokio::test]
async fn a_dead_worker_with_an_index_build_does_not_hold_up_the_recovery_of_others() {
    let place = Place::new().await.unwrap();
    let insert = "insert into jobs (id, tenant_id, kind, queue, subject, max_attempts)
                  values (gen_random_uuid(), $1, 'index', 'maintenance', gen_random_uuid(), 4)
                  on conflict do nothing";
    let request = || {
        sqlx::query(insert)
            .bind(DEFAULT_TENANT.0)
            .execute(&place.pool)
    };
    assert_eq!(request().await.unwrap().rows_affected(), 1);
    let build: Uuid = sqlx::query_scalar("select id from jobs")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    jobs::claim(&place.pool, JobId(build), "w", Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        request().await.unwrap().rows_affected(),
        0,
        "the running one counts"
    );
    let other = enqueue(&place, DEFAULT_TENANT, &limits()).await;
    jobs::claim(&place.pool, other.id, "w", Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(jobs::recover_expired(&place.pool).await.unwrap().0, 2);
}
