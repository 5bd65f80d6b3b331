//! Identifiers as types of their own, so that one can't be handed over where another is due.

use std::{fmt, str::FromStr};

use rand::RngCore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id: UUIDv7, so that ids sort by the time they were made.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(raw: &str) -> Result<Self, Self::Err> {
                raw.parse().map(Self)
            }
        }
    };
}

impl QuestionId {
    /// A fresh id that nobody guesses, for what the id alone may open.
    #[must_use]
    pub fn unguessable() -> Self {
        Self(unguessable())
    }
}

impl ConversationId {
    /// A fresh id that nobody guesses, for what the id alone may open.
    #[must_use]
    pub fn unguessable() -> Self {
        Self(unguessable())
    }
}

/// A UUIDv7 with 74 bits straight from the cryptographic generator.
///
/// Those of `now_v7` count up within a millisecond, so that whoever asks at the same moment has only 32 bits to guess.
fn unguessable() -> Uuid {
    let milliseconds = chrono::Utc::now().timestamp_millis().cast_unsigned();
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

id!(
    /// Whose data it is.
    TenantId
);
id!(
    /// A set of documents that is searched together.
    CollectionId
);
id!(DocumentId);
id!(QuestionId);
id!(ConversationId);
id!(
    /// A zip whose files are to become documents.
    ImportId
);
id!(
    /// A row of the ledger.
    JobId
);
id!(ApiKeyId);
id!(WebhookId);
id!(
    /// One thing that one webhook is told.
    DeliveryId
);

id!(FaqId);
id!(
    /// Equal and similar questions that the documents didn't answer.
    UnansweredId
);
id!(FeedbackId);

/// The tenant that exists from the first migration on.
pub const DEFAULT_TENANT: TenantId =
    TenantId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_one_millisecond_say_nothing_of_each_other() {
        let ids: Vec<_> = (0..1000).map(|_| QuestionId::unguessable().0).collect();
        // All but the last 33 bits: those of `now_v7` come in pairs here.
        let beginnings: HashSet<_> = ids.iter().map(|id| id.as_u128() >> 33).collect();
        assert_eq!(beginnings.len(), ids.len());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
