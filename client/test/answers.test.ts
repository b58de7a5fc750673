/** Answers that are well-formed messages and cannot be true, or are more than anybody may say. */
import { describe, expect, it } from '@jest/globals';
import { trackerV1 } from '@holdfast/proto';
import { limits } from '@holdfast/shared';
import {
  answerOf,
  readClusterStatus,
  readCommitted,
  readEntryAt,
  readJobOf,
  readKeeperStatus,
  readLocatedExtent,
  readUploadPage,
} from '../src/grpc/answers.js';
import { readFileLocations } from '../src/grpc/file-locations.js';

const { GetEntry } = trackerV1.NamespaceService.service;
const { CommitUpload, GetUpload } = trackerV1.UploadService.service;
const { LocateChunks, LocateFiles } = trackerV1.ChunkLocationService.service;
const { ListKeepers, GetClusterStatus, GetJob } = trackerV1.ClusterService.service;

const id = 'ab'.repeat(16);
const malformed = expect.objectContaining({
  code: 'INTERNAL',
  message: expect.stringContaining('malformed'),
});
const reading = (read: () => unknown) => () => answerOf('tracker 127.0.0.1:7400', read);

interface Method<Request, Output> {
  readonly responseSerialize: (message: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Output;
}

/** As it comes from the wire. */
function received<Request, Output>(method: Method<Request, Output>, message: Request): Output {
  return method.responseDeserialize(method.responseSerialize(message));
}

it('an entry is the one that was asked for', () => {
  const { entry } = received(GetEntry, { entry: { path: '/other', type: 'ENTRY_TYPE_FILE', version: 1 } });
  expect(readEntryAt('/other', entry)).toMatchObject({ path: '/other' });
  expect(reading(() => readEntryAt('/file', entry))).toThrow(malformed);
});

it('a job is the one that was asked for', () => {
  const { job } = received(GetJob, { job: { jobId: id, kind: 'JOB_KIND_DRAIN', state: 'JOB_STATE_DONE' } });
  expect(readJobOf(id, job)).toMatchObject({ jobId: id });
  expect(reading(() => readJobOf('cd'.repeat(16), job))).toThrow(malformed);
});

describe('a commit', () => {
  const asked = { path: '/file', sizeBytes: 5 };
  const durability = { chunks: 1, fewestPieces: 3, policyPieces: 3 };
  const answer = (changes: object) => {
    const file = { path: '/file', version: 7, sizeBytes: 5, durability, ...changes };
    return received(CommitUpload, { files: [file] }).files[0]!;
  };

  it('tells of the file that was asked for', () => {
    expect(readCommitted(asked, false, answer({}))).toMatchObject({ path: '/file', version: 7 });
    for (const changes of [{ path: '/other' }, { sizeBytes: 4 }, { sizeBytes: 6 }, { version: 0 }]) {
      expect(reading(() => readCommitted(asked, false, answer(changes)))).toThrow(malformed);
    }
  });

  it('that appends tells of the whole', () => {
    const appended = { ...asked, appendToVersion: 3 };
    expect(readCommitted(appended, false, answer({ sizeBytes: 50 }))).toMatchObject({ sizeBytes: 50 });
    expect(reading(() => readCommitted(appended, false, answer({ sizeBytes: 4 })))).toThrow(malformed);
  });

  it('leaves a file out only where it may', () => {
    const refused = answer({ error: { code: 'ERROR_CODE_ALREADY_EXISTS', message: '/file exists' } });
    expect(readCommitted(asked, true, refused)).toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(reading(() => readCommitted(asked, false, refused))).toThrow(malformed);
  });
});

describe('where bytes are', () => {
  const chunk = { chunkId: id, length: limits.maxChunkSizeBytes, digest: Buffer.alloc(32) };
  const piece = { keeper: { keeperId: id, address: '127.0.0.1:1', zone: '' } };
  const located = (blockSizeBytes: number, pieces = 3) => {
    const extent = {
      ...{ extent: { chunkId: id, length: 10 }, chunkLength: chunk.length, chunkDigest: chunk.digest },
      ...{ blockSizeBytes, pieces: Array(pieces).fill(piece) as (typeof piece)[] },
    };
    return received(LocateChunks, { extents: [extent] }).extents[0]!;
  };

  it.each([0, 1, 4_095, 65_537, 2 * limits.messageDataBytes])('is not in blocks of %i bytes', (size) => {
    expect(reading(() => readLocatedExtent(located(size)))).toThrow(malformed);
    const files = received(LocateFiles, { chunks: [{ ...chunk, blockSizeBytes: size }] });
    expect(reading(() => readFileLocations(files))).toThrow(malformed);
    const page = { state: 'UPLOAD_STATE_OPEN', leaseMs: 1, chunkSizeBytes: 65_536 } as const;
    const upload = received(GetUpload, { ...page, blockSizeBytes: size });
    expect(reading(() => readUploadPage(upload))).toThrow(malformed);
  });

  it('names no more pieces than a chunk can have', () => {
    expect(readLocatedExtent(located(65_536, 5_000)).pieces).toHaveLength(limits.maxPieces);
    const pieces = Array(5_000).fill(piece) as (typeof piece)[];
    const file = { status: 'FILE_LOCATION_STATUS_LOCATED', version: 1, sizeBytes: 10 } as const;
    const [page] = readFileLocations(
      received(LocateFiles, {
        chunks: [{ ...chunk, blockSizeBytes: 65_536, pieces }],
        files: [{ ...file, extents: [{ chunkId: id, length: 10 }] }],
      }),
    );
    expect(page?.extents[0]?.pieces).toHaveLength(limits.maxPieces);
  });
});

describe('what operators are told', () => {
  const long = 'x'.repeat(1024 * 1024);

  it('has no words that are longer than a tracker sends them', () => {
    const keeper = { keeper: { keeperId: id, address: '127.0.0.1:1', zone: '' } };
    const words = { softwareVersion: long, storageError: long, identityConflict: long };
    const { keepers } = received(ListKeepers, { keepers: [{ ...keeper, ...words }] });
    const status = readKeeperStatus(keepers[0]!);
    for (const text of [status.softwareVersion, status.storageError, status.identityConflict]) {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limits.maxErrorMessageBytes);
    }
  });

  it('counts pieces in no more ways than there are', () => {
    const authority = { clusterId: id, epoch: 1, instanceId: id };
    const counts = (count: number) => Array.from({ length: count }, (_, n) => ({ policyPieces: n }));
    const status = (count: number) =>
      received(GetClusterStatus, { authority, repair: {}, reclaim: {}, pieceCounts: counts(count) });
    expect(readClusterStatus(status(100)).pieceCounts).toHaveLength(100);
    expect(reading(() => readClusterStatus(status(100_000)))).toThrow(malformed);
  });
});
