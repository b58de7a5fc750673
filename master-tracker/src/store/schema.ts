/**
 * The tables of the metadata, as Kysely sees them. Portable SQL: integers, texts, nulls. Ids are 32 hexadecimal
 * digits, digests 64; sizes are bytes; booleans are 0 and 1. migrations.ts creates what is declared here.
 *
 * How they hang together: an entry shows a version; a version is extents; an extent lies in a chunk; a chunk has
 * pieces on keepers. What was given up leaves in the other direction: versions go to the trash, then are retired,
 * chunks and pieces become garbage, and a garbage piece is the tombstone that stays until its keeper says that the bytes are gone
 * (S6: nothing comes back through an old keeper).
 */

/** One row: who this cluster is, how far it has come, and the counts that status shows. */
interface ClusterTable {
  id: number;
  cluster_id: string;
  /** 32 random bytes in hex; the keys of tokens and receipts are derived from it. */
  secret: string;
  /** Grows with every start. */
  epoch: number;
  instance_id: string;
  /** The highest authority a keeper witnessed that this metadata is behind of; null while there is none (S9). */
  witnessed_epoch: number | null;
  witnessed_transaction_id: number | null;
  transaction_id: number;
  last_version: number;
  last_entry_id: number;
  files: number;
  directories: number;
  logical_bytes: number;
  /** Chunks of committed versions. */
  chunks: number;
  open_uploads: number;
  requests: number;
  /** What can be restored (namespace/trash.ts), and the sizes of it in bytes. */
  trashed_versions: number;
  trashed_bytes: number;
  /** The sizes of the versions that were given up and whose row is still there. */
  retired_bytes: number;
  /** cluster/served-time.ts */
  served_ms: number;
  /** changes/record.ts */
  last_change_id: number;
}

export interface EntriesTable {
  entry_id: number;
  /** The directory; `unlinkedId` for what was deleted and waits to be taken apart. */
  parent_id: number;
  /** Exactly as given; compared byte by byte. */
  name: string;
  type: 'file' | 'directory';
  /** Files: the version that the path shows. Directories: 0. */
  version: number;
  created_at_unix_ms: number;
}

export interface VersionsTable {
  version: number;
  size_bytes: number;
  pieces: number;
  min_write: number;
  mode: number | null;
  modified_at_unix_ms: number | null;
  /** As its uploader said it; null if it did not. */
  content_digest: string | null;
  created_at_unix_ms: number;
  /** The transaction that gave it up for good; null while a path shows it or it can be restored. */
  retired_transaction_id: number | null;
}

/** When something left its path. */
interface LeftColumns {
  readonly left_transaction_id: number;
  /** By the tracker's wall clock, for display only. */
  readonly left_at_unix_ms: number;
  /** By the cluster's served time: what counts. */
  readonly left_served_ms: number;
}

/** What became of entries, in the order of commits and without gaps, as far back as is kept (changes/record.ts). */
export interface ChangesTable {
  change_id: number;
  /** The first digits of the tracker's instance that wrote it: tells one history from another (changes/position.ts). */
  instance: string;
  kind: 'created' | 'replaced' | 'moved' | 'removed';
  /** Of the entry after the change; where it was if it was removed. */
  path: string;
  /** Where a moved entry was; else null. */
  old_path: string | null;
  type: 'file' | 'directory';
  /** As in the entry. */
  version: number;
  created_at_unix_ms: number;
  /** By the tracker's wall clock, for display only. */
  changed_at_unix_ms: number;
}

/** Versions that no path shows and that can be restored. Their chunks are live and are repaired as all others. */
export interface TrashTable extends LeftColumns {
  readonly version: number;
  /** Where it was when it left. */
  readonly path: string;
  readonly size_bytes: number;
  /** 1 if another version took its place, 0 if it was deleted. */
  readonly replaced: number;
}

/** Where the entries below `unlinkedId` were. One without a row was deleted before there was a trash. */
interface UnlinkedTable extends LeftColumns {
  readonly entry_id: number;
  readonly path: string;
}

export interface ExtentsTable {
  version: number;
  file_offset: number;
  length: number;
  chunk_id: string;
  chunk_offset: number;
}

/**
 * allocated: promised to a session, its bytes unknown. sealed: written, its length and digest known. live: used
 * by a committed version. garbage: given up; the row stays as long as a late piece may still turn up.
 */
export type ChunkState = 'allocated' | 'sealed' | 'live' | 'garbage';

interface ChunksTable {
  chunk_id: string;
  upload_id: string;
  state: ChunkState;
  /** null until sealed. */
  length: number | null;
  /** Hex; null until sealed. */
  digest: string | null;
  /** The policy: how many pieces it is to have. */
  pieces: number;
  /** Where it stands in the file, as the uploader said; kept for resuming. */
  file_offset: number;
  /** The transaction that gave it up. */
  garbage_transaction_id: number | null;
}

/**
 * planned: the keeper was told to take it. durable: the keeper said it is on stable storage, with the chunk's
 * digest. garbage: to be moved to the keeper's trash; the row goes when the keeper says it is there. trashed: the
 * keeper said so of a piece whose chunk lives on; the row stays until no older word of the keeper can arrive any
 * more, as such a word would count the piece again.
 */
export type PieceState = 'planned' | 'durable' | 'garbage' | 'trashed';

interface PiecesTable {
  chunk_id: string;
  keeper_id: string;
  state: PieceState;
  /** The transaction that brought it into this state. */
  since_transaction_id: number;
  /** `length:digest` of a planned piece that its keeper reported before the chunk was sealed. */
  claim: string | null;
  /** Why it is on this keeper (registry/reasons.ts); null if that was not written down. */
  because: string | null;
  /**
   * When the tracker was told that the keeper had written it, every block verified; null if it is not known when that
   * was. By the tracker's wall clock, for display only.
   */
  written_at_unix_ms: number | null;
}

/** Live chunks by how many pieces they are to have: what status would otherwise count one by one. */
interface ChunkCountsTable {
  pieces: number;
  chunks: number;
}

/** Pieces by keeper and state; kept by the database (migrations.ts), as pieces change in many places. Never written to. */
interface PieceCountsTable {
  readonly keeper_id: string;
  readonly state: PieceState;
  readonly pieces: number;
}

interface KeepersTable {
  keeper_id: string;
  storage_id: string;
  incarnation: number;
  address: string;
  zone: string;
  total_bytes: number;
  used_bytes: number;
  free_bytes: number;
  software_version: string;
  stopping: number;
  /** 1 once its lease ran out: its pieces do not count. */
  dead: number;
  /** 1 while it is being emptied, and after: its pieces are readable, but are to be elsewhere. */
  draining: number;
  /**
   * The last chunk that was looked at for the repair queue since the keeper died, came back or began to be emptied;
   * '' before the first one, null when all were (registry/keeper-changes.ts).
   */
  queued_through: string | null;
  /**
   * 1 while what its earlier storage had is taken off the books: it is dead meanwhile, and the storage that this row
   * names cannot register yet.
   */
  replaced: number;
  /** How much longer its absence was announced to last, in milliseconds; null if it was not. */
  maintenance_ms: number | null;
}

type UploadState = 'open' | 'committed' | 'aborted';

export interface UploadsTable {
  upload_id: string;
  state: UploadState;
  pieces: number;
  min_write: number;
  chunk_size_bytes: number;
  /** How many chunks were allocated in it. */
  allocated: number;
  /** The transaction that closed it. */
  closed_transaction_id: number | null;
  /**
   * Once it is over: the last of its chunks that was looked at for those that no file uses; '' before the first one,
   * null when all were, and while it is open (uploads/leftovers.ts).
   */
  given_up_through: string | null;
  /** How long it lives when nothing of it is heard, in milliseconds; null: as the tracker's settings say. */
  lease_ms: number | null;
}

interface RequestsTable {
  request_id: string;
  /** SHA-256 of what was asked. */
  fingerprint: string;
  /** JSON. */
  answer: string;
  transaction_id: number;
}

/** What happened, for operators (events/event-log.ts). */
interface EventsTable {
  event_id: number;
  at_unix_ms: number;
  kind: string;
  subject: string;
  text: string;
}

/** What operators asked for (jobs/job.ts). */
export interface JobsTable {
  job_id: string;
  kind: string;
  state: string;
  /** JSON: the ids, sorted. */
  keeper_ids: string;
  /** The transaction that began it; the order of jobs. */
  started_transaction_id: number;
  started_at_unix_ms: number;
  ended_at_unix_ms: number | null;
  done: number;
  expected: number;
  done_bytes: number;
  text: string;
  /** JSON: where it goes on. */
  cursor: string;
  /** JSON. */
  findings: string;
  findings_total: number;
}

/**
 * Chunks that may be off their policy: with too few pieces, with too many, on a keeper that is being emptied, or
 * badly placed. A superset: repair takes off what it finds as it should be.
 */
interface RepairQueueTable {
  chunk_id: string;
  /** How many pieces counted when it was queued: the fewest come first. Since then it may have got more. */
  pieces_left: number;
  /** 1 if these were fewer than its policy asks for. */
  below_policy: number;
  /** Why it lacks pieces (registry/reasons.ts); '' if that is not known. */
  because: string;
  /** The chunk's own, which never change: how many pieces it is to have, and its length. */
  policy_pieces: number;
  length_bytes: number;
}

/** The chunks of the queue that are below their policy, summed up; kept by the database (migrations.ts). Never written to. */
interface QueueCountsTable {
  readonly policy_pieces: number;
  readonly pieces_left: number;
  readonly because: string;
  readonly chunks: number;
  /** The sum of their lengths. */
  readonly bytes: number;
}

/** One row from the event that says that repair began to the one that says that it ended (repair/repair-runs.ts). */
interface RepairRunTable {
  id: number;
  started_at_unix_ms: number;
  copies: number;
  bytes: number;
}

/** Pieces that keepers reported and no chunk has (registry/unknown-pieces.ts). */
interface UnknownPiecesTable {
  keeper_id: string;
  chunk_id: string;
  /** Of the tracker's start that was told. */
  epoch: number;
  /** The report of that start that named it first, and the transaction that took its page. */
  first_report: string;
  first_transaction_id: number;
  last_report: string;
}

export interface MetadataTables {
  cluster: ClusterTable;
  entries: EntriesTable;
  versions: VersionsTable;
  extents: ExtentsTable;
  chunks: ChunksTable;
  pieces: PiecesTable;
  keepers: KeepersTable;
  uploads: UploadsTable;
  requests: RequestsTable;
  repair_queue: RepairQueueTable;
  repair_run: RepairRunTable;
  chunk_counts: ChunkCountsTable;
  piece_counts: PieceCountsTable;
  queue_counts: QueueCountsTable;
  events: EventsTable;
  jobs: JobsTable;
  trash: TrashTable;
  unlinked: UnlinkedTable;
  unknown_pieces: UnknownPiecesTable;
  changes: ChangesTable;
}

/** The root directory's entry. */
export const rootId = 1;
/** The parent of entries that were deleted and are being taken apart; no path leads there. */
export const unlinkedId = 0;
