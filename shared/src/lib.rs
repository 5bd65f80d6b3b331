//! What the API and the workers must agree on, behind three doors:
//! the contracts between the processes, the store and the blobs, and process boot.

// Contracts between the processes.
pub mod events;
pub mod failure;
pub mod ids;
pub mod jobs;
pub mod keys;
pub mod media;
pub mod names;
pub mod secret;
pub mod webhooks;
pub mod wording;

// Where things are kept.
pub mod blobs;
pub mod store;

// Process boot.
pub mod config;
pub mod health;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;

#[cfg(feature = "testing")]
pub mod testing;
