//! Events: in order, none lost, none twice, and honest about what Redis has lost.

use std::time::Duration;

use lectern_shared::{
    events::{EventId, Hub, Item, Publisher, Subscription},
    jobs,
    testing::Place,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn hub(place: &Place) -> Hub {
    let connection = jobs::connect(&place.settings.redis_url).await.unwrap();
    Hub::start(connection, &place.settings, CancellationToken::new()).unwrap()
}

async fn publisher(place: &Place, subject: Uuid, attempt: u32) -> Publisher {
    let connection = jobs::connect(&place.settings.redis_url).await.unwrap();
    Publisher::new(connection, &place.settings, subject, attempt)
}

/// What comes next, `None` for a loss.
async fn next(subscription: &mut Subscription) -> Option<(u32, u32)> {
    let item = tokio::time::timeout(Duration::from_secs(20), subscription.next())
        .await
        .expect("no event")
        .unwrap();
    match item {
        Item::Event(event) => Some((event.id.attempt, event.id.sequence)),
        Item::Lost => None,
    }
}

#[tokio::test]
async fn readers_that_attach_at_any_moment_get_every_event_once() {
    let place = Place::new().await.unwrap();
    let hub = hub(&place).await;
    for round in 0_u32..40 {
        let subject = Uuid::now_v7();
        let mut publisher = publisher(&place, subject, 1).await;
        let publishing = tokio::spawn(async move {
            for number in 1..=30_u32 {
                assert!(publisher.publish("token", &number).await);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
        // Before, during and after: each round a little later.
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 500)).await;
        let mut subscription = hub.attach(subject, EventId::default()).await.unwrap();
        for sequence in 1..=30 {
            assert_eq!(
                next(&mut subscription).await,
                Some((1, sequence)),
                "round {round}"
            );
        }
        publishing.await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_falls_far_behind_catches_up_without_a_gap() {
    let place = Place::new().await.unwrap();
    let hub = hub(&place).await;
    let subject = Uuid::now_v7();
    let mut subscription = hub.attach(subject, EventId::default()).await.unwrap();
    let mut publisher = publisher(&place, subject, 1).await;
    for number in 1..=1000_u32 {
        publisher.publish("token", &number).await;
    }
    for sequence in 1..=1000 {
        assert_eq!(next(&mut subscription).await, Some((1, sequence)));
    }
}

#[tokio::test]
async fn what_a_worker_without_its_lease_still_says_is_not_heard() {
    let place = Place::new().await.unwrap();
    let hub = hub(&place).await;
    let subject = Uuid::now_v7();
    let (mut zombie, mut heir) = (
        publisher(&place, subject, 1).await,
        publisher(&place, subject, 2).await,
    );
    assert!(zombie.publish("token", &"old").await);
    assert!(heir.publish("reset", &"new").await);
    assert!(!zombie.publish("token", &"late").await);
    let mut subscription = hub.attach(subject, EventId::default()).await.unwrap();
    assert_eq!(next(&mut subscription).await, Some((1, 1)));
    assert_eq!(next(&mut subscription).await, Some((2, 1)));
    assert!(heir.publish("token", &"on").await);
    assert_eq!(next(&mut subscription).await, Some((2, 2)));
}

#[tokio::test]
async fn a_loss_is_told_once_and_then_the_stream_goes_on() {
    let place = Place::new().await.unwrap();
    let hub = hub(&place).await;
    let subject = Uuid::now_v7();
    let mut publisher = publisher(&place, subject, 1).await;
    for number in 1..=5_u32 {
        publisher.publish("token", &number).await;
    }
    let mut redis = jobs::connect(&place.settings.redis_url).await.unwrap();
    let stream = format!("{}:events:{subject}", place.settings.redis_prefix);
    redis::cmd("DEL")
        .arg(stream)
        .exec_async(&mut redis)
        .await
        .unwrap();
    publisher.publish("token", &6).await;
    publisher.publish("token", &7).await;
    let mut subscription = hub
        .attach(
            subject,
            EventId {
                attempt: 1,
                sequence: 2,
            },
        )
        .await
        .unwrap();
    assert_eq!(next(&mut subscription).await, None);
    assert_eq!(next(&mut subscription).await, Some((1, 6)));
    assert_eq!(next(&mut subscription).await, Some((1, 7)));
}

#[tokio::test]
async fn the_audience_is_counted_until_the_last_reader_leaves() {
    let place = Place::new().await.unwrap();
    let (one, other) = (hub(&place).await, hub(&place).await);
    let subject = Uuid::now_v7();
    assert_eq!(one.audience(subject).await.unwrap(), 0);
    let first = one.attach(subject, EventId::default()).await.unwrap();
    let second = one.attach(subject, EventId::default()).await.unwrap();
    let elsewhere = other.attach(subject, EventId::default()).await.unwrap();
    assert_eq!(one.audience(subject).await.unwrap(), 2, "two processes");
    drop((first, elsewhere));
    while one.audience(subject).await.unwrap() != 1 {
        tokio::task::yield_now().await;
    }
    drop(second);
    while one.audience(subject).await.unwrap() != 0 {
        tokio::task::yield_now().await;
    }
}
