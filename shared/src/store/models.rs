//! The identity of the embedding model. One is active; vectors of two models never meet in one index.

use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::{Result, StoreError, transaction};

/// A row of `embedding_models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId(pub i16);

/// All that two vectors must have in common to be comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    pub name: String,
    /// SHA-256 of the weights, in hex; of that and the prefixes, if the model has any.
    pub revision: String,
    pub dimensions: u16,
    /// How token vectors become one: `mean`.
    pub pooling: String,
    /// `fp32` or `int8`: their vectors agree too little (0.994 in the mean) to be mixed.
    pub quantization: String,
    /// Tokens that are looked at, with the special ones.
    pub max_tokens: u16,
}

impl ModelIdentity {
    /// Whether the vectors of both can stand in one index. The name is only what people call it.
    #[must_use]
    pub fn makes_the_vectors_of(&self, other: &Self) -> bool {
        Self {
            name: String::new(),
            ..self.clone()
        } == Self {
            name: String::new(),
            ..other.clone()
        }
    }
}

impl std::fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let revision = self.revision.get(..8).unwrap_or(&self.revision);
        write!(
            f,
            "{} ({revision}, {} dimensions, {})",
            self.name, self.dimensions, self.quantization
        )
    }
}

/// Makes sure that the vectors in the database are those of `identity`. The first model becomes the active one, and
/// so does another one as long as there are no vectors.
///
/// # Errors
/// [`StoreError::ModelMismatch`] when there are vectors of another model; or when the database fails.
pub async fn adopt(pool: &PgPool, identity: &ModelIdentity) -> Result<ModelId> {
    let mut tx = transaction(pool).await?;
    // Workers that start together take turns.
    sqlx::query!("lock table embedding_models in exclusive mode")
        .execute(&mut *tx)
        .await?;
    if let Some(active) = active(&mut tx).await? {
        if active.1.makes_the_vectors_of(identity) {
            return Ok(active.0);
        }
        let has_vectors = sqlx::query_scalar!(r#"select exists (select from chunks) as "exists!""#)
            .fetch_one(&mut *tx)
            .await?;
        if has_vectors {
            return Err(StoreError::ModelMismatch(format!(
                "the documents are indexed with {}, this worker has {identity}: set LECTERN_MODEL_DIR and \
                 LECTERN_MODEL_QUANTIZATION back, or let `lectern-worker reindex` with these settings switch to it",
                active.1
            )));
        }
        sqlx::query!("update embedding_models set active = false where active")
            .execute(&mut *tx)
            .await?;
    }
    let id = sqlx::query_scalar!(
        "insert into embedding_models (name, revision, dimensions, pooling, quantization, max_tokens, active)
         values ($1, $2, $3, $4, $5, $6, true)
         on conflict on constraint embedding_models_identity_unique do update set active = true
         returning id",
        identity.name,
        identity.revision,
        identity.dimensions.cast_signed(),
        identity.pooling,
        identity.quantization,
        identity.max_tokens.cast_signed(),
    )
    .fetch_one(&mut *tx)
    .await?;
    // The table is empty, so this is instant; from here on a vector of other dimensions is refused at insert.
    sqlx::query("drop index if exists chunks_embedding_hnsw")
        .execute(&mut *tx)
        .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "alter table chunks alter column embedding type halfvec({})",
        identity.dimensions
    )))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ModelId(id))
}

/// Whether the model is the one that searches go by.
///
/// # Errors
/// When the database fails.
pub async fn is_active(pool: &PgPool, model: ModelId) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    Ok(is_active_in(&mut connection, model).await?)
}

/// The same in a transaction. Whoever has written to `chunks` in it knows that no other model becomes active before
/// its end: a switch waits for the table.
pub(super) async fn is_active_in(tx: &mut PgConnection, model: ModelId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from embedding_models where id = $1 and active) as "active!""#,
        model.0
    )
    .fetch_one(tx)
    .await
}

/// What a worker hears whose model was switched off while it worked.
pub(super) fn retired(model: ModelId) -> StoreError {
    StoreError::ModelMismatch(format!("model {} is not the active one any more", model.0))
}

/// Notes a model without making it the active one.
pub(super) async fn register(tx: &mut PgConnection, identity: &ModelIdentity) -> Result<ModelId> {
    let id = sqlx::query_scalar!(
        "insert into embedding_models (name, revision, dimensions, pooling, quantization, max_tokens)
         values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint embedding_models_identity_unique do update set name = excluded.name
         returning id",
        identity.name,
        identity.revision,
        identity.dimensions.cast_signed(),
        identity.pooling,
        identity.quantization,
        identity.max_tokens.cast_signed(),
    )
    .fetch_one(tx)
    .await?;
    Ok(ModelId(id))
}

/// A row of `embedding_models`.
pub(super) struct Row {
    pub(super) id: i16,
    pub(super) name: String,
    pub(super) revision: String,
    pub(super) dimensions: i16,
    pub(super) pooling: String,
    pub(super) quantization: String,
    pub(super) max_tokens: i16,
}

impl Row {
    pub(super) fn into_model(self) -> (ModelId, ModelIdentity) {
        let identity = ModelIdentity {
            name: self.name,
            revision: self.revision,
            dimensions: self.dimensions.cast_unsigned(),
            pooling: self.pooling,
            quantization: self.quantization,
            max_tokens: self.max_tokens.cast_unsigned(),
        };
        (ModelId(self.id), identity)
    }
}

pub(super) async fn active(tx: &mut PgConnection) -> Result<Option<(ModelId, ModelIdentity)>> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, revision, dimensions, pooling, quantization, max_tokens
         from embedding_models where active"
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Row::into_model))
}

/// The model that the vectors are made with, if there has been a worker yet.
///
/// # Errors
/// When the database fails.
pub async fn current(pool: &PgPool) -> Result<Option<ModelIdentity>> {
    let mut connection = pool.acquire().await?;
    Ok(active(&mut connection).await?.map(|(_, identity)| identity))
}
