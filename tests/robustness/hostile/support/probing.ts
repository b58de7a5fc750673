/** How long a well-behaved client waits for a small answer, with and without an attack beside it. */
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { PeerChannel, callUnary, controlChannelOptions } from '@holdfast/shared/grpc';
import { Worker } from 'node:worker_threads';
import type { Target } from './target.js';

export interface Probed {
  readonly what: string;
  readonly answers: number;
  readonly medianMs: number;
  readonly slowestMs: number;
  /** Calls that failed, and why. */
  readonly failures: readonly string[];
}

interface Times {
  readonly times: readonly number[];
  readonly failures: readonly string[];
}

/** Probes until the promise ends. */
export async function probeDuring(target: Target, attack: () => Promise<void>): Promise<readonly Probed[]> {
  const probes = await smallCalls(target);
  const worker = new Worker(new URL('./prober.mjs', import.meta.url), {
    workerData: probes.map(({ address, path, message }) => ({ address, path, message })),
  });
  const reported = new Promise<readonly Times[]>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  try {
    await attack();
    worker.postMessage('over');
    return (await reported).map(({ times, failures }, index) => ({
      what: probes[index]!.path,
      answers: times.length,
      medianMs: median(times),
      slowestMs: Math.max(...times),
      failures,
    }));
  } finally {
    await worker.terminate();
  }
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

/** A look at a file, and at its first piece. */
async function smallCalls(target: Target) {
  const { GetEntry } = trackerV1.NamespaceService.service;
  const { LocateChunks } = trackerV1.ChunkLocationService.service;
  const { StatChunk } = keeperV1.ChunkService.service;
  const [path] = target.ledger.paths;
  const channel = new PeerChannel(target.cluster.trackerAddress, controlChannelOptions);
  try {
    const request = { path: path!, target: 'path' } as const;
    const { extents } = await callUnary(channel, 'tracker', LocateChunks, request, { deadlineMs: 10_000 });
    const [{ extent, readToken, pieces }] = extents as [(typeof extents)[0]];
    return [
      {
        address: target.cluster.trackerAddress,
        path: GetEntry.path,
        message: GetEntry.requestSerialize({ path: path! }),
      },
      {
        address: pieces[0]!.keeper!.address,
        path: StatChunk.path,
        message: StatChunk.requestSerialize({ chunkId: extent!.chunkId, pieceIndex: 0, readToken }),
      },
    ];
  } finally {
    channel.close();
  }
}
