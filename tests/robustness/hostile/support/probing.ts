/** How long a well-behaved client waits for a small answer, with and without an attack beside it. */
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { PeerChannel, callUnary, controlChannelOptions } from '@holdfast/shared/grpc';
import { once } from 'node:events';
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

interface Probe {
  readonly address: string;
  readonly path: string;
  readonly message: Buffer;
}

interface Times {
  readonly times: readonly number[];
  readonly failures: readonly string[];
}

/** A well-behaved client that asks from its start to its end. */
export class Prober {
  readonly #probes: readonly Probe[];
  readonly #worker: Worker;

  private constructor(probes: readonly Probe[]) {
    this.#probes = probes;
    this.#worker = new Worker(new URL('./prober.mjs', import.meta.url), { workerData: probes });
  }

  static async start(target: Target): Promise<Prober> {
    return new Prober(await smallCalls(target));
  }

  /** How it was answered since the last report. */
  async report(): Promise<readonly Probed[]> {
    const reported = once(this.#worker, 'message') as Promise<[readonly Times[]]>;
    this.#worker.postMessage('report');
    const [all] = await reported;
    return all.map(({ times, failures }, index) => ({
      what: this.#probes[index]!.path,
      answers: times.length,
      medianMs: median(times),
      slowestMs: Math.max(...times),
      failures,
    }));
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Probes until the promise ends. */
export async function probeDuring(target: Target, attack: () => Promise<void>): Promise<readonly Probed[]> {
  const prober = await Prober.start(target);
  try {
    await attack();
    return await prober.report();
  } finally {
    await prober.stop();
  }
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

/** A look at a file, and at its first piece: at the first keeper, which those attack who attack one. */
async function smallCalls(target: Target): Promise<readonly Probe[]> {
  const { GetEntry } = trackerV1.NamespaceService.service;
  const { LocateChunks } = trackerV1.ChunkLocationService.service;
  const { StatChunk } = keeperV1.ChunkService.service;
  const [path] = target.ledger.paths;
  const channel = new PeerChannel(target.cluster.trackerAddress, controlChannelOptions);
  try {
    const request = { path: path!, target: 'path' } as const;
    const { extents } = await callUnary(channel, 'tracker', LocateChunks, request, { deadlineMs: 60_000 });
    const [{ extent, readToken }] = extents as [(typeof extents)[0]];
    return [
      {
        address: target.cluster.trackerAddress,
        path: GetEntry.path,
        message: GetEntry.requestSerialize({ path: path! }),
      },
      {
        address: target.cluster.keepers[0]!.address,
        path: StatChunk.path,
        message: StatChunk.requestSerialize({ chunkId: extent!.chunkId, pieceIndex: 0, readToken }),
      },
    ];
  } finally {
    channel.close();
  }
}
