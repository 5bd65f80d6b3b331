//! How far a caller reaches: into which tenant, into which of its collections, and to whose questions.
//!
//! What the API asks of the store takes a [`Reach`] wherever a collection or a question is in play, and a tenant
//! elsewhere, so that neither can be left out.

use std::sync::Arc;

use uuid::Uuid;

use crate::ids::{ApiKeyId, TenantId};

#[derive(Clone, Debug)]
pub struct Reach {
    pub tenant: TenantId,
    /// The ids of the collections that it is limited to; `None`: all of the tenant's.
    pub collections: Option<Arc<[Uuid]>>,
    /// Who alone has asked the questions and begun the conversations that it sees; `None`: anybody.
    pub asker: Option<Asker>,
}

impl Reach {
    /// All of a tenant.
    #[must_use]
    pub fn all(tenant: TenantId) -> Self {
        Self {
            tenant,
            collections: None,
            asker: None,
        }
    }

    /// For `$n::uuid[] is null or … = any($n)`.
    pub(super) fn collections(&self) -> Option<&[Uuid]> {
        self.collections.as_deref()
    }

    /// For `$n::uuid is null or asked_with = $n and visitor_sha256 is not distinct from …`.
    pub(super) fn asked_with(&self) -> Option<Uuid> {
        self.asker.as_ref().map(|asker| asker.key.0)
    }

    pub(super) fn visitor(&self) -> Option<&[u8]> {
        self.asker.as_ref()?.visitor.as_deref()
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub key: ApiKeyId,
    /// SHA-256 of what the visitor of a web page calls itself; `None` for who isn't one, or doesn't say.
    pub visitor: Option<Arc<[u8]>>,
}
