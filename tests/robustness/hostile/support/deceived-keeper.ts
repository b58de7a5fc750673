/**
 * A keeper, as a process of its own, whose tracker and peers lie to it. It has pieces that the others have too, and errands:
 * true orders to fetch more of them from peers that lie. What it has stays what it is, and is served meanwhile.
 */
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { isId, isRequestId } from '@holdfast/shared';
import { PeerChannel, callUnary, controlChannelOptions } from '@holdfast/shared/grpc';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningCommand, peakResidentBytesOf, start } from '../../../support/command.js';
import { seededBytes } from '../../../support/files.js';
import { waitFor } from '../../../support/wait.js';
import { type Method, keeperMethods, trackerMethods } from './contract.js';
import { Inventor } from './lies.js';
import { LyingServer } from './lying-server.js';
import type { Choices } from './random.js';
import type { Target } from './target.js';
import { readFields, writeFields } from './wire.js';

const { Heartbeat, RegisterKeeper, ReportPieces, CompleteTask } = trackerV1.KeeperRegistryService.service;
const { LocateChunks } = trackerV1.ChunkLocationService.service;
const { StatChunk } = keeperV1.ChunkService.service;
const deadlineMs = 60_000;
/** Chunks that are on this keeper too. */
const ownFiles = 8;
const chunkBytes = 65_536;
/** The tasks of HeartbeatResponse. */
const tasksField = 3;

type Heartbeat = ReturnType<typeof Heartbeat.responseDeserialize>;

export class DeceivedKeeper {
  readonly findings: { readonly what: string; readonly told: readonly string[] }[] = [];
  /** How often it was asked for a piece by others, and gave it. */
  served = 0;
  readonly #target: Target;
  readonly #dataDir: string;
  readonly #inventor: Inventor;
  readonly #servers: LyingServer[] = [];
  readonly #channels: PeerChannel[] = [];
  /** Serialised tasks. */
  readonly #errands: Buffer[] = [];
  readonly #choices: Choices;
  readonly #folder: string;
  #own = new Map<string, Buffer>();
  #command: RunningCommand | undefined;
  #address = '';
  keeperId = '';

  private constructor(target: Target, folder: string, choices: Choices) {
    this.#target = target;
    this.#folder = folder;
    this.#dataDir = join(folder, 'keeper');
    this.#choices = choices;
    const addresses = new Map<string, string>();
    const spares = (method: Method, truth: Buffer, lie: Buffer): boolean =>
      this.#isBelievable(method.path, truth, lie);
    const edits = (method: Method, truth: Buffer): Buffer => this.#withErrands(method.path, truth);
    this.#inventor = new Inventor({ choices, addresses, spares, edits });
  }

  /** @param folder its own */
  static async start(target: Target, folder: string, choices: Choices): Promise<DeceivedKeeper> {
    const deceived = new DeceivedKeeper(target, folder, choices);
    await deceived.#start();
    return deceived;
  }

  async #start(): Promise<void> {
    const { cluster, client } = this.#target;
    const peers: string[] = [];
    for (const { address } of cluster.keepers) {
      const lying = await LyingServer.start(address, keeperMethods, this.#inventor);
      this.#servers.push(lying);
      peers.push(lying.address);
    }
    const tracker = await LyingServer.start(cluster.trackerAddress, trackerMethods, this.#inventor);
    this.#servers.push(tracker);
    await mkdir(this.#dataDir, { recursive: true });
    const where = ['--data-dir', this.#dataDir, '--listen', '127.0.0.1:0', '--tracker', tracker.address];
    this.#command = start('data-keeper', [...where, '--json'], { cwd: this.#folder });
    const ready = await waitFor('the keeper to be ready', () => {
      const line = this.#command!.stdout().split('\n')[0] ?? '';
      return line.endsWith('}') ? (JSON.parse(line) as { address: string; keeperId: string }) : undefined;
    });
    this.#address = ready.address;
    this.keeperId = ready.keeperId;
    await this.recovered();
    await this.#makeErrands(peers);
    for (let n = 0; n < ownFiles; n += 1) {
      const bytes = seededBytes(1_000 + n, chunkBytes - n);
      const everywhere = { chunkSizeBytes: chunkBytes, replicas: 4, minWrite: 4 };
      await client.upload(bytes, `/own-${this.keeperId}-${n}`, everywhere);
    }
    this.#own = await this.pieces();
    for (const name of this.#own.keys()) {
      const [id = ''] = name.split('.');
      for (const told of [
        id,
        name,
        id.toUpperCase(),
        `../chunks/${id.slice(0, 2)}/${id}`,
        `${id}\0`,
        `${id}/..`,
      ]) {
        this.#inventor.known.add('chunk_id', Buffer.from(told));
        this.#inventor.known.add('chunk_ids', Buffer.from(told));
      }
    }
  }

  /** What the tracker would have it fetch if it had lost them: chunks that the others have, from lying peers. */
  async #makeErrands(peers: readonly string[]): Promise<void> {
    const { cluster, ledger } = this.#target;
    const channel = this.#channel(cluster.trackerAddress);
    for (const path of ledger.paths.filter((each) => each.startsWith('/f-'))) {
      const request = { path, target: 'path' } as const;
      const { extents } = await callUnary(channel, 'tracker', LocateChunks, request, { deadlineMs });
      for (const { extent, chunkDigest, chunkLength, blockSizeBytes, readToken, pieces } of extents) {
        const fetchPiece = {
          ...{
            chunkId: extent!.chunkId,
            length: chunkLength,
            digest: chunkDigest,
            blockSizeBytes,
            readToken,
          },
          sources: pieces.map(({ keeper }, index) => ({ ...keeper!, address: peers[index % peers.length]! })),
        };
        const task = { taskId: this.#choices.id(), fetchPiece };
        const [field] = readFields(Heartbeat.responseSerialize({ tasks: [task] }));
        this.#errands.push(field!.value as Buffer);
      }
    }
  }

  #channel(address: string): PeerChannel {
    const channel = new PeerChannel(address, controlChannelOptions);
    this.#channels.push(channel);
    return channel;
  }

  /** The tracker's own orders are kept from it, as they may take pieces away; now and then it has an errand instead. */
  #withErrands(path: string, truth: Buffer): Buffer {
    if (path !== Heartbeat.path) return truth;
    const fields = readFields(truth).filter(({ number }) => number !== tasksField);
    const value =
      this.#errands.length > 0 && this.#choices.once(3) ? this.#choices.one(this.#errands) : undefined;
    return writeFields(value ? [...fields, { number: tasksField, wireType: 2, value }] : fields);
  }

  /** A later tracker of the same cluster, other keys and orders about its pieces are for the tracker to say. */
  #isBelievable(path: string, truth: Buffer, lie: Buffer): boolean {
    const method = [Heartbeat, RegisterKeeper, ReportPieces, CompleteTask].find((each) => each.path === path);
    if (!method) return false;
    try {
      const [told, real] = [lie, truth].map((bytes) => method.responseDeserialize(bytes));
      const [its, ours] = [told!.authority, real!.authority];
      if (!its || !ours || its.clusterId !== ours.clusterId) return false;
      const isLater = its.epoch > ours.epoch || its.transactionId > ours.transactionId;
      const isEarly = its.uptimeMs > ours.uptimeMs;
      return isLater || isEarly || this.#hasOtherKeys(path, lie, truth) || this.#takesAway(path, lie);
    } catch {
      return false;
    }
  }

  #hasOtherKeys(path: string, lie: Buffer, truth: Buffer): boolean {
    if (path !== RegisterKeeper.path) return false;
    const [told, real] = [lie, truth].map((bytes) => RegisterKeeper.responseDeserialize(bytes));
    const isOther = (one: Buffer, other: Buffer): boolean =>
      one.length >= 16 && one.length <= 64 && !one.equals(other);
    return isOther(told!.tokenKey, real!.tokenKey) || isOther(told!.receiptKey, real!.receiptKey);
  }

  /** Whether it orders, in words that make sense, that a piece of its own be trashed, or be another one. */
  #takesAway(path: string, lie: Buffer): boolean {
    if (path !== Heartbeat.path) return false;
    return Heartbeat.responseDeserialize(lie).tasks.some(
      ({ taskId, trashPieces, fetchPiece, verifyPiece }) => {
        const ids =
          trashPieces?.chunkIds ?? [fetchPiece?.chunkId ?? '', verifyPiece?.chunkId ?? ''].filter(isId);
        const isOwn = ids.some((id) => this.#own.has(`${id}.0`));
        return isOwn && isRequestId(taskId) && ids.every(isId) && ids.length <= 1_000;
      },
    );
  }

  /** All that it stores, by the names of the files. */
  async pieces(dataDir = this.#dataDir): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for (const shard of await readdir(join(dataDir, 'chunks'))) {
      for (const name of await readdir(join(dataDir, 'chunks', shard))) {
        found.set(name, await readFile(join(dataDir, 'chunks', shard, name)));
      }
    }
    return found;
  }

  /** Lies to it until the signal is aborted, and has others ask it for what it has. */
  async run(signal: AbortSignal): Promise<void> {
    this.#inventor.turn({ kind: 'fickle', odds: 2 });
    const tracker = this.#channel(this.#target.cluster.trackerAddress);
    const keeper = this.#channel(this.#address);
    const paths = Array.from({ length: ownFiles }, (_, n) => `/own-${this.keeperId}-${n}`);
    while (!signal.aborted && this.#command!.child.exitCode === null) {
      const request = { path: this.#choices.one(paths), target: 'path' } as const;
      const { extents } = await callUnary(tracker, 'tracker', LocateChunks, request, { deadlineMs });
      const [{ extent, readToken }] = extents as [(typeof extents)[0]];
      const asked = { chunkId: extent!.chunkId, pieceIndex: 0, readToken };
      await callUnary(keeper, 'the keeper', StatChunk, asked, { deadlineMs }).then(
        () => (this.served += 1),
        (error: unknown) => this.#find(`somebody else was not served: ${String(error)}`),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (this.#command!.child.exitCode !== null) {
      this.#find(`it ended with ${this.#command!.child.exitCode}: ${this.#command!.stderr().slice(-2_000)}`);
    }
    this.#inventor.turn({ kind: 'honest' });
  }

  /** What it has is what it had, and what it fetched is what others have. */
  async judge(): Promise<void> {
    const found = await this.pieces();
    for (const [name, bytes] of this.#own) {
      if (found.get(name)?.equals(bytes) !== true) this.#find(`its piece ${name} is gone, or another one`);
    }
    const others = await Promise.all(this.#target.cluster.keepers.map(({ dataDir }) => this.pieces(dataDir)));
    for (const [name, bytes] of found) {
      const isRight = others.some((pieces) => pieces.get(name)?.equals(bytes));
      if (!isRight && !this.#own.has(name)) this.#find(`it has a piece ${name} that nobody else has`);
    }
    const beside = (await readdir(this.#folder)).filter((name) => name !== 'keeper');
    if (beside.length > 0) this.#find(`it wrote ${beside.join(', ')}`);
    if (/\b(TypeError|RangeError|ReferenceError)\b|failed by a defect/.test(this.#command!.stderr())) {
      const lines = this.#command!.stderr().split('\n');
      this.#find(
        lines
          .filter((line) => /Error\b|defect/.test(line))
          .slice(0, 3)
          .join('\n'),
      );
    }
  }

  get peakBytes(): number {
    return peakResidentBytesOf(this.#command?.child.pid);
  }

  /** How many pieces it fetched. */
  async fetched(): Promise<number> {
    return (await this.pieces()).size - this.#own.size;
  }

  /** Resolves when the tracker counts it as alive, with all that it has. */
  async recovered(): Promise<void> {
    await waitFor('the keeper to be live', async () => {
      const keepers = await this.#target.client.keepers();
      return keepers.some(
        ({ keeperId, state, reported }) => keeperId === this.keeperId && state === 'live' && reported,
      );
    });
  }

  async stop(): Promise<void> {
    this.#command?.child.kill('SIGKILL');
    await this.#command?.finished;
    for (const channel of this.#channels) channel.close();
    for (const server of this.#servers) server.stop();
  }

  #find(what: string): void {
    if (this.findings.length < 20) this.findings.push({ what, told: this.#inventor.told.slice(-20) });
  }
}
