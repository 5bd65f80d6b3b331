//! An API over a kept database, in the process of the benchmark.

use lectern_api::testing::{self, Running};

use crate::kept::Place;

pub(crate) async fn api(place: &Place) -> Running {
    let settings = lectern_shared::testing::settings(
        place.database_url.clone(),
        place.redis_url.clone(),
        place.name.clone(),
        place.blobs().to_string_lossy().into_owned(),
    );
    testing::start_at(testing::settings(&[]), &settings, &place.pool)
        .await
        .unwrap()
}
