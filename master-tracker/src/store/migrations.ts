/**
 * The schema, in numbered steps that run when the store is opened. A store of a newer schema is refused: an
 * older tracker cannot know what it must keep true.
 */
import { HoldfastError } from '@holdfast/shared';
import { type Kysely, sql } from 'kysely';

// A migration works on the schema of its own time, not on today's types.
type AnyDatabase = Kysely<Record<string, Record<string, unknown>>>;

const migrations: readonly ((db: AnyDatabase) => Promise<void>)[] = [
  createFirstSchema,
  addEvents,
  addKeeperCare,
  addJobs,
  addQueuedThrough,
  addReasons,
  addTrash,
  addUnknownPieces,
  addGivenUpThrough,
  addReplaced,
  addPieceCounts,
  addQueueCounts,
  addWrittenAt,
  addContentDigest,
  addChanges,
  addLongRequests,
  addUploadLease,
];

const schemaVersion = migrations.length;

/**
 * Brings the schema up to date inside the transaction that the caller has open.
 *
 * @throws HoldfastError DATA_DIR_INVALID for a schema that is newer than this program
 */
export async function migrate(database: unknown): Promise<void> {
  const db = database as AnyDatabase;
  await db.schema
    .createTable('schema_version')
    .ifNotExists()
    .addColumn('version', 'integer', (column) => column.notNull())
    .execute();
  const row = await db.selectFrom('schema_version').select('version').executeTakeFirst();
  const found = Number(row?.['version'] ?? 0);
  if (found > schemaVersion) {
    throw new HoldfastError(
      'DATA_DIR_INVALID',
      `the metadata has schema ${found}; this tracker knows schemas up to ${schemaVersion}`,
      { remedy: 'Start a tracker of the version that wrote it, or a later one.' },
    );
  }
  for (const step of migrations.slice(found)) await step(db);
  if (!row) await db.insertInto('schema_version').values({ version: schemaVersion }).execute();
  else if (found < schemaVersion)
    await db.updateTable('schema_version').set({ version: schemaVersion }).execute();
}

async function createFirstSchema(db: AnyDatabase): Promise<void> {
  await createCluster(db);
  await createNamespace(db);
  await createChunkMap(db);
  await createSessions(db);
}

async function createCluster(db: AnyDatabase): Promise<void> {
  let cluster = db.schema
    .createTable('cluster')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('cluster_id', 'text', (column) => column.notNull())
    .addColumn('secret', 'text', (column) => column.notNull())
    .addColumn('instance_id', 'text', (column) => column.notNull())
    .addColumn('witnessed_epoch', 'bigint')
    .addColumn('witnessed_transaction_id', 'bigint');
  for (const counter of [
    'epoch',
    'transaction_id',
    'last_version',
    'last_entry_id',
    'files',
    'directories',
    'logical_bytes',
    'chunks',
    'open_uploads',
    'requests',
  ]) {
    cluster = cluster.addColumn(counter, 'bigint', (column) => column.notNull().defaultTo(0));
  }
  await cluster.execute();
  await db.schema
    .createTable('keepers')
    .addColumn('keeper_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('storage_id', 'text', (column) => column.notNull())
    .addColumn('incarnation', 'bigint', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('zone', 'text', (column) => column.notNull())
    .addColumn('total_bytes', 'bigint', (column) => column.notNull())
    .addColumn('used_bytes', 'bigint', (column) => column.notNull())
    .addColumn('free_bytes', 'bigint', (column) => column.notNull())
    .addColumn('software_version', 'text', (column) => column.notNull())
    .addColumn('stopping', 'integer', (column) => column.notNull())
    .addColumn('dead', 'integer', (column) => column.notNull())
    .execute();
}

async function createNamespace(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('entries')
    .addColumn('entry_id', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('parent_id', 'bigint', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('created_at_unix_ms', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('entries_by_name')
    .on('entries')
    .columns(['parent_id', 'name'])
    .unique()
    .execute();
  await db.schema
    .createTable('versions')
    .addColumn('version', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('size_bytes', 'bigint', (column) => column.notNull())
    .addColumn('pieces', 'integer', (column) => column.notNull())
    .addColumn('min_write', 'integer', (column) => column.notNull())
    .addColumn('mode', 'integer')
    .addColumn('modified_at_unix_ms', 'bigint')
    .addColumn('created_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('retired_transaction_id', 'bigint')
    .execute();
  await db.schema
    .createIndex('versions_retired')
    .on('versions')
    .column('retired_transaction_id')
    .where(sql.ref('retired_transaction_id'), 'is not', null)
    .execute();
  await db.schema
    .createTable('extents')
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('file_offset', 'bigint', (column) => column.notNull())
    .addColumn('length', 'bigint', (column) => column.notNull())
    .addColumn('chunk_id', 'text', (column) => column.notNull())
    .addColumn('chunk_offset', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('extents_key', ['version', 'file_offset'])
    .execute();
  await db.schema.createIndex('extents_by_chunk').on('extents').column('chunk_id').execute();
}

async function createChunkMap(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('chunks')
    .addColumn('chunk_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('upload_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('length', 'bigint')
    .addColumn('digest', 'text')
    .addColumn('pieces', 'integer', (column) => column.notNull())
    .addColumn('file_offset', 'bigint', (column) => column.notNull())
    .addColumn('garbage_transaction_id', 'bigint')
    .execute();
  await db.schema.createIndex('chunks_by_upload').on('chunks').columns(['upload_id', 'chunk_id']).execute();
  await db.schema
    .createIndex('chunks_garbage')
    .on('chunks')
    .columns(['garbage_transaction_id', 'chunk_id'])
    .where(sql.ref('garbage_transaction_id'), 'is not', null)
    .execute();
  await db.schema
    .createTable('pieces')
    .addColumn('chunk_id', 'text', (column) => column.notNull())
    .addColumn('keeper_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('since_transaction_id', 'bigint', (column) => column.notNull())
    .addColumn('claim', 'text')
    .addPrimaryKeyConstraint('pieces_key', ['chunk_id', 'keeper_id'])
    .execute();
  await db.schema
    .createIndex('pieces_by_keeper')
    .on('pieces')
    .columns(['keeper_id', 'state', 'chunk_id'])
    .execute();
  await db.schema
    .createTable('repair_queue')
    .addColumn('chunk_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('pieces_left', 'integer', (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('repair_queue_order')
    .on('repair_queue')
    .columns(['pieces_left', 'chunk_id'])
    .execute();
}

async function createSessions(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('uploads')
    .addColumn('upload_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('pieces', 'integer', (column) => column.notNull())
    .addColumn('min_write', 'integer', (column) => column.notNull())
    .addColumn('chunk_size_bytes', 'bigint', (column) => column.notNull())
    .addColumn('allocated', 'integer', (column) => column.notNull())
    .addColumn('closed_transaction_id', 'bigint')
    .execute();
  await db.schema
    .createIndex('uploads_by_state')
    .on('uploads')
    .columns(['state', 'closed_transaction_id'])
    .execute();
  await db.schema
    .createTable('requests')
    .addColumn('request_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('fingerprint', 'text', (column) => column.notNull())
    .addColumn('answer', 'text', (column) => column.notNull())
    .addColumn('transaction_id', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('requests_by_age').on('requests').column('transaction_id').execute();
}

async function addEvents(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('events')
    .addColumn('event_id', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .execute();
}

async function addKeeperCare(db: AnyDatabase): Promise<void> {
  await db.schema
    .alterTable('keepers')
    .addColumn('draining', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.alterTable('keepers').addColumn('maintenance_ms', 'bigint').execute();
  // What is queued by then was queued for being below its policy.
  await db.schema
    .alterTable('repair_queue')
    .addColumn('below_policy', 'integer', (column) => column.notNull().defaultTo(1))
    .execute();
}

async function addJobs(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('jobs')
    .addColumn('job_id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('keeper_ids', 'text', (column) => column.notNull())
    .addColumn('started_transaction_id', 'bigint', (column) => column.notNull().unique())
    .addColumn('started_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('ended_at_unix_ms', 'bigint')
    .addColumn('done', 'bigint', (column) => column.notNull())
    .addColumn('expected', 'bigint', (column) => column.notNull())
    .addColumn('done_bytes', 'bigint', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('cursor', 'text', (column) => column.notNull())
    .addColumn('findings', 'text', (column) => column.notNull())
    .addColumn('findings_total', 'bigint', (column) => column.notNull())
    .execute();
}

async function addQueuedThrough(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('keepers').addColumn('queued_through', 'text').execute();
}

/** Why pieces are where they are and why chunks wait, what a run of repair did, and chunks by policy. */
async function addReasons(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('pieces').addColumn('because', 'text').execute();
  await db.schema
    .alterTable('repair_queue')
    .addColumn('because', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await db.schema
    .createTable('repair_run')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('started_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('copies', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('chunk_counts')
    .addColumn('pieces', 'integer', (column) => column.primaryKey())
    .addColumn('chunks', 'bigint', (column) => column.notNull())
    .execute();
  await sql`
    insert into chunk_counts (pieces, chunks)
    select pieces, count(*) from chunks where state = 'live' group by pieces
  `.execute(db);
}

async function addTrash(db: AnyDatabase): Promise<void> {
  for (const counter of ['trashed_versions', 'trashed_bytes', 'retired_bytes', 'served_ms']) {
    await db.schema
      .alterTable('cluster')
      .addColumn(counter, 'bigint', (column) => column.notNull().defaultTo(0))
      .execute();
  }
  // What was given up before there was a trash stays given up.
  await sql`update cluster set retired_bytes =
    coalesce((select sum(size_bytes) from versions where retired_transaction_id is not null), 0)`.execute(db);
  await db.schema
    .createTable('trash')
    .addColumn('version', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('size_bytes', 'bigint', (column) => column.notNull())
    .addColumn('replaced', 'integer', (column) => column.notNull())
    .addColumn('left_transaction_id', 'bigint', (column) => column.notNull())
    .addColumn('left_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('left_served_ms', 'bigint', (column) => column.notNull())
    .execute();
  // In the order of a listing; the size makes summing up an index scan.
  await db.schema
    .createIndex('trash_by_path')
    .on('trash')
    .columns(['path', 'left_transaction_id desc', 'size_bytes'])
    .execute();
  await db.schema.createIndex('trash_by_age').on('trash').columns(['left_served_ms', 'version']).execute();
  await db.schema
    .createTable('unlinked')
    .addColumn('entry_id', 'bigint', (column) => column.primaryKey().notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('left_transaction_id', 'bigint', (column) => column.notNull())
    .addColumn('left_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('left_served_ms', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('unlinked_by_path').on('unlinked').column('path').execute();
}
async function addUnknownPieces(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('unknown_pieces')
    .addColumn('keeper_id', 'text', (column) => column.notNull())
    .addColumn('chunk_id', 'text', (column) => column.notNull())
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('first_report', 'text', (column) => column.notNull())
    .addColumn('first_transaction_id', 'bigint', (column) => column.notNull())
    .addColumn('last_report', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('unknown_pieces_key', ['keeper_id', 'chunk_id'])
    .execute();
}

/** What uploads that were over by then had left was given up with them. */
async function addGivenUpThrough(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('uploads').addColumn('given_up_through', 'text').execute();
  await db.schema
    .createIndex('uploads_with_leftovers')
    .on('uploads')
    .column('given_up_through')
    .where(sql.ref('given_up_through'), 'is not', null)
    .execute();
}

async function addReplaced(db: AnyDatabase): Promise<void> {
  await db.schema
    .alterTable('keepers')
    .addColumn('replaced', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
}

/**
 * Counting millions of pieces for a status takes most of a second. Pieces change in many places and in big statements,
 * so it is the database that counts along: under 1 µs a row.
 */
async function addPieceCounts(db: AnyDatabase): Promise<void> {
  await db.schema
    .createTable('piece_counts')
    .addColumn('keeper_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('pieces', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('piece_counts_key', ['keeper_id', 'state'])
    .execute();
  await sql`
    insert into piece_counts (keeper_id, state, pieces)
    select keeper_id, state, count(*) from pieces group by keeper_id, state
  `.execute(db);
  const add = sql`
    insert into piece_counts (keeper_id, state, pieces) values (new.keeper_id, new.state, 1)
    on conflict (keeper_id, state) do update set pieces = pieces + 1`;
  const take = sql`
    update piece_counts set pieces = pieces - 1 where keeper_id = old.keeper_id and state = old.state`;
  await sql`create trigger piece_added after insert on pieces begin ${add}; end`.execute(db);
  await sql`create trigger piece_removed after delete on pieces begin ${take}; end`.execute(db);
  await sql`
    create trigger piece_changed after update of state on pieces when new.state != old.state
    begin ${take}; ${add}; end
  `.execute(db);
}

/** The same for the repair queue, which holds a million chunks after a death. */
async function addQueueCounts(db: AnyDatabase): Promise<void> {
  for (const column of ['policy_pieces', 'length_bytes']) {
    await db.schema
      .alterTable('repair_queue')
      .addColumn(column, 'bigint', (added) => added.notNull().defaultTo(0))
      .execute();
  }
  await sql`
    update repair_queue set
      policy_pieces = (select pieces from chunks where chunks.chunk_id = repair_queue.chunk_id),
      length_bytes = (select length from chunks where chunks.chunk_id = repair_queue.chunk_id)
  `.execute(db);
  await db.schema
    .createTable('queue_counts')
    .addColumn('policy_pieces', 'bigint', (column) => column.notNull())
    .addColumn('pieces_left', 'integer', (column) => column.notNull())
    .addColumn('because', 'text', (column) => column.notNull())
    .addColumn('chunks', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('queue_counts_key', ['policy_pieces', 'pieces_left', 'because'])
    .execute();
  await sql`
    insert into queue_counts (policy_pieces, pieces_left, because, chunks, bytes)
    select policy_pieces, pieces_left, because, count(*), sum(length_bytes)
    from repair_queue where below_policy = 1 group by policy_pieces, pieces_left, because
  `.execute(db);
  const add = sql`
    insert into queue_counts (policy_pieces, pieces_left, because, chunks, bytes)
    select new.policy_pieces, new.pieces_left, new.because, 1, new.length_bytes where new.below_policy = 1
    on conflict (policy_pieces, pieces_left, because)
    do update set chunks = chunks + 1, bytes = bytes + excluded.bytes`;
  const take = sql`
    update queue_counts set chunks = chunks - 1, bytes = bytes - old.length_bytes
    where old.below_policy = 1 and policy_pieces = old.policy_pieces
      and pieces_left = old.pieces_left and because = old.because`;
  await sql`create trigger queue_added after insert on repair_queue begin ${add}; end`.execute(db);
  await sql`create trigger queue_removed after delete on repair_queue begin ${take}; end`.execute(db);
  await sql`create trigger queue_changed after update on repair_queue begin ${take}; ${add}; end`.execute(db);
}

async function addWrittenAt(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('pieces').addColumn('written_at_unix_ms', 'bigint').execute();
}

/** Of versions that were stored before, nobody knows it. */
async function addContentDigest(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('versions').addColumn('content_digest', 'text').execute();
}

/** What came before is told by no watch: nobody has a cursor from then. */
async function addChanges(db: AnyDatabase): Promise<void> {
  await db.schema
    .alterTable('cluster')
    .addColumn('last_change_id', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema
    .createTable('changes')
    // 'integer' makes it SQLite's row id: rows are added at one end and taken away at the other, with no index beside.
    .addColumn('change_id', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('instance', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('old_path', 'text')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('created_at_unix_ms', 'bigint', (column) => column.notNull())
    .addColumn('changed_at_unix_ms', 'bigint', (column) => column.notNull())
    .execute();
}

/** Which answers are forgotten first (requests/requests.ts). */
async function addLongRequests(db: AnyDatabase): Promise<void> {
  await db.schema
    .createIndex('requests_long')
    .on('requests')
    .column('transaction_id')
    .where(sql<boolean>`length(answer) > 4096`)
    .execute();
}

async function addUploadLease(db: AnyDatabase): Promise<void> {
  await db.schema.alterTable('uploads').addColumn('lease_ms', 'bigint').execute();
}
