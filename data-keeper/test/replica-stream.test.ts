/** What a stream of a replica must have, block by block and at its end, before its piece may be stored. */
import { afterEach, expect, it } from '@jest/globals';
import { type ReplicaServiceHandlers, type StreamReplicaResponse, keeperV1 } from '@holdfast/proto';
import { blockChecksums, limits, newId } from '@holdfast/shared';
import { createServer, grpcTransport, listen, serverStream } from '@holdfast/shared/grpc';
import { systemRandom } from '@holdfast/shared/node';
import { GrpcPeerKeepers } from '../src/grpc/grpc-peer-keepers.js';
import type { BlockRun } from '../src/store/piece.js';
import { bytesOf, digestOf } from './support/fixtures.js';

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

const data = bytesOf(5_000);
const blocks = { blocks: { offset: 0, checksums: blockChecksums(data), data } };
const footer = { footer: { digest: digestOf(data) } };

it.each<[string, StreamReplicaResponse[], string]>([
  ['ends with its footer', [blocks, footer], 'whole'],
  ['breaks off before its footer', [blocks], 'UNAVAILABLE'],
  ['goes on after its footer', [blocks, footer, blocks], 'INVALID_ARGUMENT'],
  ['holds something else', [{}, footer], 'INVALID_ARGUMENT'],
])('a replica that %s', async (_what, messages, expected) => {
  const server = createServer({ maxMessageBytes: limits.maxDataMessageBytes });
  server.addService(keeperV1.ReplicaService.service, {
    StreamReplica: serverStream(async (_request, send) => {
      const header = {
        length: data.length,
        blockSizeBytes: limits.blockSizeBytes,
        uploadId: newId(systemRandom),
      };
      for (const message of [{ header }, ...messages]) await send(message);
    }),
  } satisfies Partial<ReplicaServiceHandlers>);
  const address = await listen(server, '127.0.0.1:0');
  cleanUps.push(() => server.forceShutdown());
  const peers = new GrpcPeerKeepers(newId(systemRandom), grpcTransport);
  cleanUps.push(() => peers.close());
  const peer = { keeperId: newId(systemRandom), address, zone: '' };
  const key = { chunkId: newId(systemRandom), pieceIndex: 0 };
  const options = { deadlineMs: 60_000, signal: new AbortController().signal };
  const replica = await peers.openReplica(peer, key, Buffer.alloc(0), options);
  const runs: BlockRun[] = [];
  const taking = (async () => {
    for await (const run of replica.runs) runs.push(run);
  })();
  if (expected !== 'whole') return expect(taking).rejects.toMatchObject({ code: expected });
  await taking;
  expect(runs).toHaveLength(1);
  expect(replica.digest()).toEqual(footer.footer.digest);
});
