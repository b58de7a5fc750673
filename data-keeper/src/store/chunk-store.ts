/**
 * Where pieces are kept, as the rest of the keeper sees it. Small on purpose: a piece is written once, from its
 * first block to its last, and from then on only read, or moved away whole on the tracker's order.
 *
 * `chunkStoreSuite` in the tests says what every implementation must do.
 */
import type { HoldfastError } from '@holdfast/shared';
import type { BlockRun, PieceKey, PieceSpec, StoredPiece } from './piece.js';

export interface ChunkStore {
  /**
   * Reserves room for a piece and starts to write it. End it with `commit` or `abort`.
   *
   * @throws HoldfastError OUT_OF_SPACE; DISK_FAILED once the storage has failed; UNAVAILABLE while the same
   *   piece is being written
   */
  begin(spec: PieceSpec): Promise<PieceWriter>;
  /**
   * Opens a stored piece after checking everything but its data. Close the reader always.
   *
   * @param from the medium itself, as far as the machine offers that, rather than what is in memory of it
   * @throws HoldfastError NOT_FOUND, CHECKSUM_MISMATCH (damaged), DISK_FAILED, PERMISSION_DENIED; UNAVAILABLE while
   *   the storage is not there (unmounted)
   */
  open(key: PieceKey, from?: 'medium'): Promise<StoredPieceReader>;
  /** What `open` would find, or undefined where it would be NOT_FOUND. */
  stat(key: PieceKey): Promise<StoredPiece | undefined>;
  /** Every stored piece in order of chunk id. What comes or goes meanwhile may be in it or not. */
  list(): AsyncIterable<PieceKey>;
  /**
   * The pieces of one of the directories they are spread over, in order, for whoever goes through all of them.
   *
   * @param shard 0 to 255: what chunk ids begin with
   */
  listShard(shard: number): Promise<ShardListing>;
  /** How many pieces there are whose chunk ids begin with `fromShard` or more, and the sum of their files. */
  census(fromShard: number): Census;
  /** Moves every piece of the chunks to the trash, durably. What is not there is fine. */
  trash(chunkIds: readonly string[]): Promise<void>;
  /** Unlinks what has been in the trash for its time. */
  emptyTrash(): Promise<void>;
  /** Sets a damaged piece aside, durably, for a person to look at. Nothing ever takes it from there. */
  quarantine(key: PieceKey): Promise<void>;
  capacity(): Promise<Capacity>;
  /** Lets go of what is held open for writing. Nothing may be written after it. */
  close(): void;
  /** Why the storage can no longer be written; undefined while it can. It stays readable, unless it is gone. */
  readonly failure: HoldfastError | undefined;
  /** True while the storage is not there at all: its disk is unmounted. As of the last look at it. */
  readonly gone: boolean;
}

export interface ShardListing {
  readonly pieces: readonly ListedPiece[];
  /** How many pieces there should be beside these: nobody here has moved them away. */
  readonly vanished: number;
}

export interface ListedPiece extends PieceKey {
  /** Of its file. */
  readonly fileBytes: number;
}

export interface Census {
  readonly pieces: number;
  /** Of their files. */
  readonly bytes: number;
}

/** In bytes, as StorageCapacity in the contract. */
export interface Capacity {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly trashBytes: number;
}

/** A piece that is being written. */
export interface PieceWriter {
  readonly spec: PieceSpec;
  /** How far the piece is verified and written: readers may go as far as this. */
  readonly writtenBytes: number;
  /**
   * The one door that bytes come in by: checks that the run follows the one before without a gap, is whole
   * blocks within the piece, and that every block matches its checksum; only then writes it. Call it again only
   * after it has resolved.
   *
   * @throws HoldfastError INVALID_ARGUMENT, CHECKSUM_MISMATCH, OUT_OF_SPACE, DISK_FAILED; then abort
   */
  append(run: BlockRun): Promise<void>;
  /** Another pair of eyes on what is written so far, also after commit or abort. Close it. */
  follow(): PieceReader;
  /**
   * Says that all blocks are in; from then on the content is known and followers may have it.
   *
   * @param expectedDigest what the digest must be, where that is known
   * @returns the digest
   * @throws HoldfastError INVALID_ARGUMENT (blocks are missing), CHECKSUM_MISMATCH (not the expected digest);
   *   then abort
   */
  seal(expectedDigest?: Buffer): Buffer;
  /**
   * Makes the sealed piece durable under its name; when this resolves a receipt may be given. For a piece that
   * is there already with the same bytes it is done at once.
   *
   * @throws HoldfastError VERSION_CONFLICT (the name is taken by other bytes), OUT_OF_SPACE, DISK_FAILED; then
   *   abort
   */
  commit(): Promise<StoredPiece>;
  /** Leaves no trace. Fine after a failure and after commit, where it does nothing. Never rejects. */
  abort(): Promise<void>;
}

export interface PieceReader {
  readonly spec: PieceSpec;
  /**
   * The run of whole blocks that starts at `offsetBytes` (a block boundary before `endBytes`), up to one message
   * long and not beyond `endBytes` (a block boundary, or the end of the piece).
   *
   * @param into where the data goes: limits.messageDataBytes, or enough for the run
   * @throws HoldfastError CHECKSUM_MISMATCH, DISK_FAILED
   */
  read(offsetBytes: number, endBytes: number, into?: Buffer): Promise<BlockRun>;
  close(): Promise<void>;
}

/** Of a stored piece: every block is verified before `read` gives it. */
export interface StoredPieceReader extends PieceReader {
  readonly spec: StoredPiece;
  /** True if nothing comes from the page cache. */
  readonly fromMedium: boolean;
}
