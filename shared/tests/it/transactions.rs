//! Transactions of callers that are gone.

use std::time::Duration;

use lectern_shared::{
    config::StoreSettings,
    store::{self, workers},
    testing::Place,
};

#[tokio::test]
async fn what_is_written_after_a_caller_was_dropped_while_its_transaction_began_is_written() {
    let place = Place::new().await.unwrap();
    let pool = store::connect(&StoreSettings {
        database_connections_max: 1,
        ..place.settings.clone()
    })
    .unwrap();
    workers::report(&pool, "first", "0", "test").await.unwrap();
    while pool.num_idle() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    {
        let beginning = std::pin::pin!(store::transaction(&pool));
        // The connection was there at once, so that BEGIN is on its way and not answered.
        assert!(futures::poll!(beginning).is_pending());
    }
    workers::report(&pool, "second", "0", "test").await.unwrap();
    let seen: Vec<String> = sqlx::query_scalar("select name from workers order by name")
        .fetch_all(&place.pool)
        .await
        .unwrap();
    assert_eq!(seen, ["first", "second"]);
}
