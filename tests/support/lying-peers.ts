/**
 * A tracker and two keepers that a test scripts: what real ones do seldom or never, as a keeper that sends wrong bytes
 * with a straight face, and an answer that gets lost. They serve one file of one chunk.
 */
import { keeperV1, trackerV1 } from '@holdfast/proto';
import type { ReadChunkResponse } from '@holdfast/proto';
import { ChecksumTable, HoldfastError, blockChecksums } from '@holdfast/shared';
import { createServer, listen, serverStream, unary } from '@holdfast/shared/grpc';

const blockSizeBytes = 65_536;
const id = (digit: string): string => digit.repeat(32);
/** The keeper that lies is asked first. */
export const liarId = id('1');

export type Lie =
  | 'wrong-byte'
  | 'wrong-byte-and-checksum'
  | 'another-piece'
  | 'silence'
  | 'cut-short'
  | 'out-of-order'
  | 'not-found'
  | 'dead-in-the-middle';

export interface Report {
  readonly keeperId: string;
  readonly code: string;
}

export class LyingPeers {
  readonly reports: Report[] = [];
  /** The request ids of mutations, in the order in which they came. */
  readonly requestIds: { readonly call: 'begin' | 'commit'; readonly id: string }[] = [];
  readonly #servers: ReturnType<typeof createServer>[] = [];
  trackerAddress = '';

  static async start(data: Buffer, lie: Lie): Promise<LyingPeers> {
    const peers = new LyingPeers();
    const liar = await peers.#keeper(data, lie);
    const honest = await peers.#keeper(data, undefined);
    await peers.#tracker(data, [liar, honest]);
    return peers;
  }

  stop(): void {
    for (const server of this.#servers) server.forceShutdown();
  }

  async #serve(addTo: (server: ReturnType<typeof createServer>) => void): Promise<string> {
    const server = createServer({ maxMessageBytes: 2 * 1024 * 1024 });
    addTo(server);
    this.#servers.push(server);
    return listen(server, '127.0.0.1:0');
  }

  async #keeper(data: Buffer, lie: Lie | undefined): Promise<string> {
    const answer = serverStream<{ offset: number }, ReadChunkResponse>(async ({ offset }, send, signal) => {
      if (lie === 'not-found') throw new HoldfastError('NOT_FOUND', 'no such piece');
      const digest = lie === 'another-piece' ? Buffer.alloc(32) : digestOf(data);
      await send({ header: { length: data.length, blockSizeBytes, digest } });
      const start = offset - (offset % blockSizeBytes);
      for (let at = start; at < data.length; at += blockSizeBytes) {
        const block = Buffer.from(data.subarray(at, at + blockSizeBytes));
        let checksums = [...blockChecksums(block, blockSizeBytes)];
        // The first block is right: what was verified must not be asked for again.
        if (lie !== undefined && at > 0) {
          if (lie.startsWith('wrong-byte')) block[0]! ^= 1;
          if (lie === 'wrong-byte-and-checksum') checksums = [...blockChecksums(block, blockSizeBytes)];
          if (lie === 'cut-short') return;
          if (lie === 'dead-in-the-middle') throw new HoldfastError('UNAVAILABLE', 'the keeper is going');
          if (lie === 'silence') {
            return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          }
        }
        const place = lie === 'out-of-order' ? at + blockSizeBytes : at;
        await send({ blocks: { offset: place, checksums, data: block } });
      }
    });
    const never = unary<unknown, never>(() => Promise.reject(new HoldfastError('UNIMPLEMENTED', 'not here')));
    return this.#serve((server) =>
      server.addService(keeperV1.ChunkService.service, {
        ReadChunk: answer as never,
        WriteChunk: never as never,
        StatChunk: never as never,
      }),
    );
  }

  async #tracker(data: Buffer, keepers: readonly string[]): Promise<void> {
    const policy = { scheme: 'POLICY_SCHEME_REPLICAS' as const, pieces: 2, needed: 1, minWrite: 1 };
    const extent = {
      extent: { chunkId: id('c'), chunkOffset: 0, length: data.length },
      fileOffset: 0,
      chunkLength: data.length,
      chunkDigest: digestOf(data),
      blockSizeBytes,
      pieces: keepers.map((address, number) => ({
        pieceIndex: 0,
        keeper: { keeperId: id(String(number + 1)), address, zone: '' },
        reachable: true,
      })),
      readToken: Buffer.from('a token'),
    };
    /** Does what was asked, and loses the first answer to it. */
    const losing = <Response>(call: 'begin' | 'commit', response: Response) =>
      unary<{ requestId: string }, Response>(async ({ requestId }) => {
        this.requestIds.push({ call, id: requestId });
        if (this.requestIds.filter((each) => each.call === call).length > 1) return response;
        throw new HoldfastError('UNAVAILABLE', 'the answer got lost');
      });
    const locations = {
      LocateChunks: unary(async () => ({ version: 1, sizeBytes: data.length, policy, extents: [extent] })),
      ReportBadPiece: unary<{ keeperId: string; error?: { code: string } }, object>(
        async ({ keeperId, error }) => {
          this.reports.push({ keeperId, code: error?.code ?? '' });
          return {};
        },
      ),
    };
    const durability = { chunks: 0, fewestPieces: 0, policyPieces: 2, chunksBelowPolicy: 0 };
    const uploads = {
      BeginUpload: losing('begin', {
        ...{ uploadId: id('a'), leaseMs: 60_000, policy, chunkSizeBytes: 65_536, blockSizeBytes },
        ...{ allocations: [], tokenLifetimeMs: 60_000 },
      }),
      CommitUpload: losing('commit', { files: [{ path: '/empty', version: 1, durability }] }),
    };
    this.trackerAddress = await this.#serve((server) => {
      server.addService(trackerV1.ChunkLocationService.service, locations);
      server.addService(trackerV1.UploadService.service, uploads);
    });
  }
}

function digestOf(data: Buffer): Buffer {
  const table = new ChecksumTable(data.length, blockSizeBytes);
  blockChecksums(data, blockSizeBytes).forEach((checksum, block) => table.set(block, checksum));
  return table.digest();
}
