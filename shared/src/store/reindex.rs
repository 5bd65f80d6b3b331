//! Switching the embedding model: every chunk gets a vector of the new model beside the old one, then both swap places.
//!
//! `chunks.embedding` and `chunks.model_id` are what searches read, throughout. A build fills `embedding_next` and
//! `model_id_next`, in batches that advisory locks keep apart, so that several processes may build and each may die
//! at any moment. The switch renames the columns and their indexes under a lock of the table, which no search or write
//! can see half of. What the old model's workers still do is refused by [`models::is_active`] and its like.
//!
//! After the switch the old vectors stand in the `next` columns. Left there, they make the way back short; `forget`
//! drops them.

use std::time::Duration;

use pgvector::HalfVector;
use sqlx::{Connection, PgConnection, PgPool, pool::PoolConnection};

use super::{
    Result, StoreError, index,
    models::{self, ModelId, ModelIdentity, Row},
    transaction,
};

/// Chunks of a batch, and what their ids are divided by to tell batches apart.
pub const BATCH: i64 = 64;

/// Ids that are looked at for a batch that nobody has.
const LOOK_AHEAD: i64 = 16 * BATCH;

/// The first half of the advisory locks; the second is the batch's number.
const BATCH_LOCK: i32 = 0x4c52;

/// How long a change of the table may wait for what reads it. Searches that come after wait as long.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '1s'";

/// How far a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub model: ModelIdentity,
    /// Chunks that have a vector of it.
    pub done: i64,
    pub total: i64,
    pub since: chrono::DateTime<chrono::Utc>,
}

/// What [`begin`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Building(ModelId),
    /// It is the active model.
    Active,
    /// There is nothing to switch: a worker with the model will do.
    Empty,
}

/// Begins a build, or joins the one that runs.
///
/// # Errors
/// [`StoreError::ModelMismatch`] when a build of another model runs; or when the database fails.
pub async fn begin(pool: &PgPool, identity: &ModelIdentity) -> Result<Begun> {
    let mut tx = transaction(pool).await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
    sqlx::query!("lock table embedding_models in exclusive mode")
        .execute(&mut *tx)
        .await?;
    let has_chunks = sqlx::query_scalar!(r#"select exists (select from chunks) as "exists!""#)
        .fetch_one(&mut *tx)
        .await?;
    match models::active(&mut tx).await? {
        Some((_, active)) if active.makes_the_vectors_of(identity) => return Ok(Begun::Active),
        Some(_) if has_chunks => {}
        _ => return Ok(Begun::Empty),
    }
    if let Some((id, building)) = building(&mut tx).await? {
        if building.makes_the_vectors_of(identity) {
            return Ok(Begun::Building(id));
        }
        return Err(StoreError::ModelMismatch(format!(
            "{building} is being built: let it end, or run `lectern-worker reindex --abort`"
        )));
    }
    let model = models::register(&mut tx, identity).await?;
    // What a switch has left is of use only on the way back.
    let is_kept = sqlx::query_scalar!(
        r#"select coalesce(
               (select model_id_next = $1 from chunks where model_id_next is not null limit 1), false
           ) as "kept!""#,
        model.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if !is_kept {
        renew_columns(&mut tx, Some(identity.dimensions)).await?;
    }
    sqlx::query!(
        "update embedding_models set building = true, building_since = now() where id = $1",
        model.0
    )
    .execute(&mut *tx)
    .await?;
    // What is left to do, in order. Built with the table locked, for the second that it takes, since no other session
    // may see a build without it.
    sqlx::query("create index chunks_without_next on chunks (id) where embedding_next is null")
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Begun::Building(model))
}

/// New columns without a vector: dropping a column takes no time, emptying it would write every row.
async fn renew_columns(tx: &mut PgConnection, dimensions: Option<u16>) -> Result<()> {
    let kind = dimensions.map_or("halfvec".to_owned(), |count| format!("halfvec({count})"));
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "alter table chunks
             drop column if exists model_id_next,
             drop column if exists embedding_next,
             add column model_id_next smallint,
             add column embedding_next {kind}"
    )))
    .execute(tx)
    .await?;
    Ok(())
}

async fn building(tx: &mut PgConnection) -> Result<Option<(ModelId, ModelIdentity)>> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, revision, dimensions, pooling, quantization, max_tokens
         from embedding_models where building"
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Row::into_model))
}

/// The build that runs, if one does.
///
/// # Errors
/// When the database fails.
pub async fn progress(pool: &PgPool) -> Result<Option<Progress>> {
    let mut connection = pool.acquire().await?;
    let Some((id, model)) = building(&mut connection).await? else {
        return Ok(None);
    };
    let counts = sqlx::query!(
        r#"select count(*) as "total!",
               (select count(*) from chunks where embedding_next is null) as "missing!",
               (select building_since from embedding_models where id = $1) as "since!"
           from chunks"#,
        id.0
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(Some(Progress {
        model,
        done: counts.total - counts.missing,
        total: counts.total,
        since: counts.since,
    }))
}

/// A chunk without a vector of the new model.
#[derive(Clone, Debug)]
pub struct Missing {
    pub id: i64,
    pub text: String,
    pub heading: Option<String>,
    /// SHA-256 of the text that the old vector was made of.
    pub embedded_sha256: Option<Vec<u8>>,
}

/// One process's part in a build: a connection of its own, whose end frees what it holds.
#[derive(Debug)]
pub struct Builder {
    connection: PgConnection,
    model: ModelId,
}

impl Builder {
    /// # Errors
    /// When the database fails.
    pub async fn join(pool: &PgPool, model: ModelId) -> Result<Self> {
        Ok(Self {
            connection: PoolConnection::detach(pool.acquire().await?),
            model,
        })
    }

    /// The first chunks from `from` on that have no vector yet and that no other builder has, in order of their ids;
    /// none when there are none. They are this builder's until [`store`](Self::store) or the end of its connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(&mut self, from: i64) -> Result<Vec<Missing>> {
        let batches = sqlx::query_scalar!(
            r#"select distinct id / $2 as "batch!"
               from (
                   select id from chunks where embedding_next is null and id >= $1 order by id limit $3
               ) missing
               order by 1"#,
            from,
            BATCH,
            LOOK_AHEAD
        )
        .fetch_all(&mut self.connection)
        .await?;
        for batch in batches {
            let is_ours = sqlx::query_scalar!(
                r#"select pg_try_advisory_lock($1, $2) as "locked!""#,
                BATCH_LOCK,
                lock_of(batch)
            )
            .fetch_one(&mut self.connection)
            .await?;
            if !is_ours {
                continue;
            }
            // Read after the lock: its last owner may have been done with it.
            let missing = sqlx::query_as!(
                Missing,
                "select id, text, heading, embedded_sha256
                 from chunks
                 where embedding_next is null and id >= $1 and id < $1 + $2
                 order by id",
                batch * BATCH,
                BATCH
            )
            .fetch_all(&mut self.connection)
            .await?;
            if !missing.is_empty() {
                return Ok(missing);
            }
            self.free(batch).await?;
        }
        Ok(Vec::new())
    }

    /// Writes the vectors of a batch, and those of its tokens as far as there are any, and frees it. Chunks that were
    /// deleted meanwhile stay so.
    ///
    /// # Errors
    /// [`StoreError::ModelMismatch`] when the build was aborted; or when the database fails.
    pub async fn store(
        &mut self,
        ids: &[i64],
        vectors: &[Vec<f32>],
        token_vectors: &[Option<Vec<u8>>],
    ) -> Result<()> {
        let vectors: Vec<HalfVector> = vectors
            .iter()
            .map(|vector| HalfVector::from_f32_slice(vector))
            .collect();
        let mut tx = self.connection.begin().await?;
        sqlx::query!(
            "update chunks
             set embedding_next = new.embedding, model_id_next = $1
             from unnest($2::bigint[], $3::halfvec[]) as new (id, embedding)
             where chunks.id = new.id and chunks.embedding_next is null
                 and exists (select from embedding_models where id = $1 and building)",
            self.model.0,
            ids,
            &vectors as &[HalfVector],
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into chunk_token_vectors (chunk_id, model_id, tenant_id, vectors)
             select chunk.id, $1, chunk.tenant_id, new.vectors
             from unnest($2::bigint[], $3::bytea[]) as new (id, vectors)
             join chunks chunk on chunk.id = new.id and chunk.model_id_next = $1
             where new.vectors is not null
             on conflict on constraint chunk_token_vectors_pkey do nothing",
            self.model.0,
            ids,
            token_vectors as &[Option<Vec<u8>>],
        )
        .execute(&mut *tx)
        .await?;
        // The table is ours to write to until the end: an abort or a switch comes before or after.
        let is_building = sqlx::query_scalar!(
            r#"select exists (select from embedding_models where id = $1 and building) as "building!""#,
            self.model.0
        )
        .fetch_one(&mut *tx)
        .await?;
        if !is_building {
            // Said now: a dropped transaction ends with the connection's next statement, and ours may have none.
            tx.rollback().await?;
            self.free_of(ids).await?;
            return Err(StoreError::ModelMismatch(
                "this build was aborted or is over".to_owned(),
            ));
        }
        tx.commit().await?;
        self.free_of(ids).await
    }

    async fn free_of(&mut self, ids: &[i64]) -> Result<()> {
        match ids.first() {
            Some(first) => self.free(first / BATCH).await,
            None => Ok(()),
        }
    }

    async fn free(&mut self, batch: i64) -> Result<()> {
        sqlx::query!(
            r#"select pg_advisory_unlock($1, $2) as "freed!""#,
            BATCH_LOCK,
            lock_of(batch)
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(())
    }
}

/// Two batches that are 2^32 apart share a lock, which costs one of them a moment.
#[expect(clippy::cast_possible_truncation, reason = "said above")]
fn lock_of(batch: i64) -> i32 {
    batch as i32
}

/// How an attempt to switch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The model is the active one now.
    Done,
    /// Visible chunks have no vector of it yet.
    Incomplete,
    /// What reads the table, or builds its index, left no gap: try again in a moment.
    Busy,
}

/// Builds the index over the new vectors if there is one over the old: it is there from the first search on.
///
/// # Errors
/// When the database fails.
pub async fn build_index(pool: &PgPool, memory_mib: u32) -> Result<()> {
    if index::is_valid(pool).await? {
        index::build_next(pool, memory_mib).await?;
    }
    Ok(())
}

/// Makes the model the active one, if every visible chunk has a vector of it.
///
/// Chunks of versions that are being made and have none are deleted: their ingest is refused from now on, and begins
/// again at a worker with the new model.
///
/// # Errors
/// When the database fails, or the build is over.
pub async fn switch(pool: &PgPool, model: ModelId) -> Result<Switch> {
    match try_switch(pool, model).await {
        Err(StoreError::Database(error)) if is_lock_timeout(&error) => Ok(Switch::Busy),
        ended => ended,
    }
}

async fn try_switch(pool: &PgPool, model: ModelId) -> Result<Switch> {
    let mut tx = transaction(pool).await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
    // Before embedding_models, as everybody: ingests write chunks and then ask for the active model.
    sqlx::query!("lock table chunks in access exclusive mode")
        .execute(&mut *tx)
        .await?;
    if building(&mut tx).await?.is_none_or(|(id, _)| id != model) {
        return Err(StoreError::ModelMismatch(
            "this build was aborted or is over".to_owned(),
        ));
    }
    let is_incomplete = sqlx::query_scalar!(
        r#"select exists (
               select from chunks chunk
               join documents document on document.id = chunk.document_id and document.version = chunk.version
               where chunk.embedding_next is null
           ) as "incomplete!""#
    )
    .fetch_one(&mut *tx)
    .await?;
    if is_incomplete {
        return Ok(Switch::Incomplete);
    }
    sqlx::query!("delete from chunks where embedding_next is null")
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(
        "alter table chunks rename column embedding to embedding_before;
         alter table chunks rename column embedding_next to embedding;
         alter table chunks rename column embedding_before to embedding_next;
         alter table chunks rename column model_id to model_id_before;
         alter table chunks rename column model_id_next to model_id;
         alter table chunks rename column model_id_before to model_id_next;
         alter table chunks
             alter column embedding set not null,
             alter column model_id set not null,
             alter column embedding_next drop not null,
             alter column model_id_next drop not null;
         drop index chunks_without_next;
         alter index if exists chunks_embedding_hnsw rename to chunks_embedding_before_hnsw;
         alter index if exists chunks_embedding_next_hnsw rename to chunks_embedding_hnsw;
         alter index if exists chunks_embedding_before_hnsw rename to chunks_embedding_next_hnsw",
    )
    .execute(&mut *tx)
    .await?;
    // One statement each: of two active ones the unique index would complain.
    sqlx::query!("update embedding_models set active = false where active")
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update embedding_models set active = true, building = false, building_since = null where id = $1",
        model.0
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Switch::Done)
}

/// Gives up a build. False: there is none, or [`Switch::Busy`] for longer than `patience`.
///
/// # Errors
/// When the database fails.
pub async fn abort(pool: &PgPool, patience: Duration) -> Result<bool> {
    let aborted = insist(patience, async || {
        let mut tx = transaction(pool).await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
        sqlx::query!("lock table chunks in access exclusive mode")
            .execute(&mut *tx)
            .await?;
        let aborted = sqlx::query!(
            "update embedding_models set building = false, building_since = null where building"
        )
        .execute(&mut *tx)
        .await?;
        if aborted.rows_affected() > 0 {
            sqlx::query("drop index if exists chunks_without_next")
                .execute(&mut *tx)
                .await?;
            renew_columns(&mut tx, None).await?;
        }
        tx.commit().await?;
        Ok(aborted.rows_affected() > 0)
    });
    let aborted = aborted.await?.unwrap_or(false);
    if aborted {
        forget_token_vectors(pool).await?;
    }
    Ok(aborted)
}

/// Drops the vectors of the model that was active before, and their index. False when a build has them, or when the
/// table was busy for longer than `patience`.
///
/// # Errors
/// When the database fails.
pub async fn forget(pool: &PgPool, patience: Duration) -> Result<bool> {
    let forgotten = insist(patience, async || {
        let mut tx = transaction(pool).await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
        sqlx::query!("lock table chunks in access exclusive mode")
            .execute(&mut *tx)
            .await?;
        if building(&mut tx).await?.is_some() {
            return Ok(false);
        }
        renew_columns(&mut tx, None).await?;
        tx.commit().await?;
        Ok(true)
    });
    let forgotten = forgotten.await?.unwrap_or(false);
    if forgotten {
        forget_token_vectors(pool).await?;
    }
    Ok(forgotten)
}

/// Those of models that nothing is searched by, nor will be.
async fn forget_token_vectors(pool: &PgPool) -> Result<()> {
    sqlx::query!(
        "delete from chunk_token_vectors
         where model_id in (select id from embedding_models where not active and not building)"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Tries again while the table is busy, which it is for moments.
async fn insist(
    patience: Duration,
    mut attempt: impl AsyncFnMut() -> Result<bool>,
) -> Result<Option<bool>> {
    let began = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Err(StoreError::Database(error)) if is_lock_timeout(&error) => {
                if began.elapsed() > patience {
                    return Ok(None);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            ended => return ended.map(Some),
        }
    }
}

/// `lock_not_available`, and `deadlock_detected`, after which trying again helps as well.
fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03" || code == "40P01")
}
