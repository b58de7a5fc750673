/**
 * Calls in the right order with the right words, of which one thing is wrong: a message is left out, comes twice, in
 * another's place or damaged, or the caller leaves. What single messages do not get at is behind a token or an upload.
 */
import type { Client } from '@grpc/grpc-js';
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { blockChecksums } from '@holdfast/shared';
import { PeerChannel, callUnary, controlChannelOptions } from '@holdfast/shared/grpc';
import { type Method, keeperMethods, trackerMethods } from './contract.js';
import { mutate } from './messages.js';
import type { Choices } from './random.js';
import { openRaw } from './raw-calls.js';
import type { Target } from './target.js';

export interface PlannedCall {
  readonly client: Client;
  readonly method: Method;
  readonly messages: readonly Buffer[];
  readonly halfClose: boolean;
  readonly leaves: boolean;
}

const { BeginUpload, CommitUpload, AllocateChunks } = trackerV1.UploadService.service;
const { LocateChunks } = trackerV1.ChunkLocationService.service;
const { WriteChunk, ReadChunk } = keeperV1.ChunkService.service;
const { ReplicateChunk, StreamReplica } = keeperV1.ReplicaService.service;
const blockSizeBytes = 65_536;
const deadlineMs = 60_000;

function methodOf({ path }: { readonly path: string }): Method {
  return [...trackerMethods, ...keeperMethods].find((method) => method.path === path)!;
}

export class Conversations {
  readonly #choices: Choices;
  readonly #tracker: PeerChannel;
  readonly #raw = new Map<string, Client>();
  readonly #trackerAddress: string;

  constructor({ cluster }: Target, choices: Choices) {
    this.#choices = choices;
    this.#trackerAddress = cluster.trackerAddress;
    this.#tracker = new PeerChannel(cluster.trackerAddress, controlChannelOptions);
  }

  close(): void {
    this.#tracker.close();
    for (const client of this.#raw.values()) client.close();
  }

  /** What to do next, and how it is wrong. */
  next(): Promise<readonly PlannedCall[]> {
    return this.#choices.once(2) ? this.#writing() : this.#reading();
  }

  #clientOf(address: string): Client {
    const known = this.#raw.get(address) ?? openRaw(address);
    this.#raw.set(address, known);
    return known;
  }

  #plan(address: string, definition: { readonly path: string }, messages: readonly Buffer[]): PlannedCall {
    return {
      ...{ client: this.#clientOf(address), method: methodOf(definition), messages: this.#spoil(messages) },
      ...{ halfClose: !this.#choices.once(10), leaves: this.#choices.once(10) },
    };
  }

  /** One thing is wrong with them, or nothing. */
  #spoil(messages: readonly Buffer[]): readonly Buffer[] {
    const choices = this.#choices;
    const at = choices.below(messages.length);
    const [before, one, after] = [messages.slice(0, at), messages[at]!, messages.slice(at + 1)];
    switch (choices.below(7)) {
      case 0:
        return [...before, ...after];
      case 1:
        return [...before, one, one, ...after];
      case 2:
        return [...before, mutate(choices, one), ...after];
      case 3:
        return messages.toReversed();
      case 4:
        return [...before, Buffer.alloc(0), one, ...after];
      case 5:
        return before;
      default:
        return messages;
    }
  }

  async #writing(): Promise<readonly PlannedCall[]> {
    const choices = this.#choices;
    const lengthBytes = choices.one([1, 100, blockSizeBytes, blockSizeBytes + 1, 3 * blockSizeBytes - 1]);
    const path = `/fuzz-${choices.id()}`;
    const request = { path, requestId: choices.id(), allocateCount: 1, chunkSizeBytes: 1024 * 1024 };
    const begun = await callUnary(this.#tracker, 'tracker', BeginUpload, request, { deadlineMs }).catch(
      () => undefined,
    );
    const [allocation] = begun?.allocations ?? [];
    const [first, ...followers] = allocation?.keepers ?? [];
    // Too many sessions of others are open just now, or too few keepers seem to live.
    if (!begun || !allocation || !first) return [];
    const { chunkId, writeToken } = allocation;
    const { uploadId } = begun;
    const spec = {
      ...{ chunkId, uploadId, length: lengthBytes, blockSizeBytes, pieceIndex: 0 },
      followers,
      writeToken,
    };
    const data = choices.bytes(lengthBytes);
    const blocks = Array.from({ length: Math.ceil(lengthBytes / blockSizeBytes) }, (_, block) => {
      const part = data.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes);
      return { offset: block * blockSizeBytes, checksums: [...blockChecksums(part)], data: part };
    });
    const written = this.#plan(first.address, WriteChunk, [
      WriteChunk.requestSerialize({ header: spec }),
      ...blocks.map((run) => WriteChunk.requestSerialize({ blocks: run })),
    ]);
    const replicated = this.#plan(followers.at(-1)?.address ?? first.address, ReplicateChunk, [
      ReplicateChunk.requestSerialize({
        ...{ ...spec, followers: [], source: first },
        ...(lengthBytes <= blockSizeBytes &&
          choices.once(2) && { blocks: blocks[0]!, digest: choices.bytes(32) }),
      }),
    ]);
    const digest = choices.bytes(32);
    const receipt = {
      ...{ chunkId, pieceIndex: 0, keeperId: first.keeperId, storageId: choices.id(), incarnation: 1 },
      ...{ length: lengthBytes, digest, signature: choices.bytes(32) },
    };
    const sealed = [{ chunkId, length: lengthBytes, digest, receipts: [receipt] }];
    const told = this.#plan(this.#trackerAddress, AllocateChunks, [
      AllocateChunks.requestSerialize({ uploadId, count: choices.below(3), sealed }),
    ]);
    const committed = this.#plan(this.#trackerAddress, CommitUpload, [
      CommitUpload.requestSerialize({
        ...{ uploadId, requestId: choices.id(), sealed },
        files: [
          { path, sizeBytes: lengthBytes, extents: [{ chunkId, chunkOffset: 0, length: lengthBytes }] },
        ],
      }),
    ]);
    return choices.once(2) ? [written, told, committed] : [replicated, committed, written];
  }

  async #reading(): Promise<readonly PlannedCall[]> {
    const choices = this.#choices;
    const request = { path: `/f-${choices.below(3)}`, target: 'path' } as const;
    const { extents } = await callUnary(this.#tracker, 'tracker', LocateChunks, request, { deadlineMs });
    const { extent, readToken, pieces } = choices.one(extents);
    const { chunkId } = extent!;
    const { address, keeperId } = choices.one(pieces).keeper!;
    const range = {
      offset: choices.one([0, 1, 65_535, 2 ** 40]),
      length: choices.one([0, 1, 70_000, 2 ** 40]),
    };
    return [
      this.#plan(address, ReadChunk, [
        ReadChunk.requestSerialize({ chunkId, pieceIndex: 0, readToken, ...range }),
      ]),
      this.#plan(address, StreamReplica, [
        StreamReplica.requestSerialize({ chunkId, pieceIndex: 0, token: readToken, keeperId }),
      ]),
    ];
  }
}
