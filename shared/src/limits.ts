/**
 * Every bound of the contract in one place (S10), with its reason. Past a bound the answer is LIMIT_EXCEEDED or
 * INVALID_ARGUMENT, never more memory. Relations between bounds are checked at load, below.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /**
   * The unit of checksum. 64 KiB is what GFS and MooseFS use: a CRC-32 over it finds every burst up to 32 bits
   * and all but 2^-32 of the rest, the table is 0.006 % of the data, and a small ranged read stays small.
   */
  blockSizeBytes: 64 * KiB,
  /**
   * The data of one message. At 256 KiB framing cost 18 % of the throughput and at 2 MiB nothing more was won,
   * while gRPC may hold 16 messages a side for a stream.
   */
  messageDataBytes: 1 * MiB,
  /** The shortest `chunk size` a session may ask for: one block. */
  minChunkSizeBytes: 64 * KiB,
  /** Within noise of the fastest, and pins the least memory of the sizes that are. */
  defaultChunkSizeBytes: 16 * MiB,
  /** Longer chunks make repair and retries lumpy and gain nothing. */
  maxChunkSizeBytes: 64 * MiB,
  /** Pieces of one chunk. */
  maxPieces: 16,
  /** Chunks in one allocation: 1 GiB at the default chunk size. */
  maxAllocateCount: 64,
  /** Sealed chunks in one call: about 700 bytes each with four receipts. */
  maxSealedPerCall: 1_000,
  /** Files in one commit. */
  maxFilesPerCommit: 10_000,
  /** Extents in one commit, so also of one version: 1.6 TB at the default chunk size, 6.7 TB at the longest. */
  maxExtentsPerCommit: 100_000,
  /**
   * Extents of a file that is appended to: each append writes a row for all that are there. 160 GB at the default chunk
   * size; many tiny appends come to 50 million rows in the trash, and not to billions.
   */
  maxExtentsToAppendTo: 10_000,
  /**
   * Components of all paths in one commit: each is a look-up, or a directory to be made, while everybody waits.
   * 10,000 files may be 10 deep; without it 4,000 paths of 2,000 components each would stop a tracker for minutes.
   */
  maxNamesPerCommit: 100_000,
  /** One component of a path, as on Linux file systems. */
  maxNameBytes: 255,
  /** A whole path, as PATH_MAX. */
  maxPathBytes: 4_096,
  /** A page of a listing. */
  defaultListPageSize: 1_000,
  maxListPageSize: 10_000,
  /** A page of LocateChunks, and chunks in an answer of LocateFiles: 6 KiB each with 16 pieces. */
  defaultLocatePageSize: 256,
  maxLocatePageSize: 1_024,
  /** Versions in one LocateFiles: a call is then little beside its files, and holds others up for milliseconds. */
  maxLocatedFiles: 1_000,
  /** Extents of a version that LocateFiles answers for; what has more is not small, and LocateChunks has pages. */
  maxExtentsPerLocatedFile: 16,
  /** Pieces in one page of a full report: about 80 bytes each. */
  maxPiecesPerReportPage: 5_000,
  /** Newly stored pieces in one heartbeat. */
  maxStoredPerHeartbeat: 1_000,
  /** As many pieces that are found bad: each ends in a copy that has to be made. */
  maxBadPiecesPerHeartbeat: 1_000,
  /** Chunks in one trash task. */
  maxChunksPerTrashTask: 1_000,
  /** A message of metadata: the largest is a commit of maxExtentsPerCommit extents, about 60 bytes each. */
  maxControlMessageBytes: 16 * MiB,
  /** A message with blocks: the data, its checksums, and room for a header with 15 followers. */
  maxDataMessageBytes: 1 * MiB + 64 * KiB,
  /** Text of an error on the wire. Details of 80 KB never arrive; people read the first lines anyway. */
  maxErrorMessageBytes: 1 * KiB,
  /** A request_id. */
  maxRequestIdLength: 64,
  /** A zone name. */
  maxZoneLength: 64,
  /** A HOST:PORT. */
  maxAddressLength: 270,
} as const;

function hold(condition: boolean, invariant: string): void {
  if (!condition) throw new Error(`limits.ts contradicts itself: ${invariant}`);
}

hold(limits.messageDataBytes % limits.blockSizeBytes === 0, 'a message carries whole blocks');
hold(limits.minChunkSizeBytes >= limits.blockSizeBytes, 'a chunk has room for a block');
hold(limits.maxDataMessageBytes > limits.messageDataBytes, 'a full message fits its own limit');
hold(limits.defaultChunkSizeBytes <= limits.maxChunkSizeBytes, 'the default is allowed');
hold(
  limits.maxLocatedFiles * limits.maxExtentsPerLocatedFile * 80 + limits.maxLocatePageSize * 7 * KiB <
    limits.maxControlMessageBytes,
  'the largest answer of LocateFiles fits a message',
);
hold(limits.maxExtentsPerCommit * 80 < limits.maxControlMessageBytes, 'the largest commit fits a message');
