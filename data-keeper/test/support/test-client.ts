/** A client of one keeper, plain enough to send it nonsense: generated codecs, as in any other language. */
import {
  type BlockRunOutput,
  type ReadChunkRequest,
  type StatChunkResponseOutput,
  type WriteChunkHeader,
  type WriteChunkRequest,
  type WriteChunkResponseOutput,
  keeperV1,
} from '@holdfast/proto';
import { blockChecksums, limits } from '@holdfast/shared';
import {
  PeerChannel,
  callClientStream,
  callServerStream,
  callUnary,
  controlChannelOptions,
  writeMessage,
} from '@holdfast/shared/grpc';

const { WriteChunk, ReadChunk, StatChunk } = keeperV1.ChunkService.service;

/** The data as a client cuts it into messages. */
export function messagesOf(
  data: Buffer,
  messageBytes: number = limits.messageDataBytes,
): WriteChunkRequest[] {
  const messages: WriteChunkRequest[] = [];
  for (let offset = 0; offset < data.length; offset += messageBytes) {
    const part = data.subarray(offset, offset + messageBytes);
    messages.push({ blocks: { offset, checksums: blockChecksums(part), data: part } });
  }
  return messages;
}

export class TestClient {
  readonly #channel: PeerChannel;

  constructor(address: string) {
    this.#channel = new PeerChannel(address, controlChannelOptions);
  }

  close(): void {
    this.#channel.close();
  }

  /** Sends exactly these messages. `between` runs before each. */
  async send(
    messages: readonly WriteChunkRequest[],
    options: { between?: (index: number) => Promise<void>; signal?: AbortSignal; leaveOpen?: boolean } = {},
  ): Promise<WriteChunkResponseOutput> {
    const { stream, response } = callClientStream(this.#channel, 'keeper', WriteChunk, {
      deadlineMs: 60_000,
      signal: options.signal,
    });
    // Whoever calls hears of it at the end.
    response.catch(() => undefined);
    let isRefused = false;
    for (const [index, message] of messages.entries()) {
      await options.between?.(index);
      // The answer says why.
      await writeMessage(stream, message).catch(() => (isRefused = true));
      if (isRefused) return response;
    }
    if (options.leaveOpen !== true) stream.end();
    return response;
  }

  write(
    header: WriteChunkHeader,
    data: Buffer,
    options: { between?: (index: number) => Promise<void>; signal?: AbortSignal } = {},
  ): Promise<WriteChunkResponseOutput> {
    return this.send([{ header }, ...messagesOf(data)], options);
  }

  /** The header and the runs of a read. */
  async read(
    request: ReadChunkRequest,
    signal?: AbortSignal,
  ): Promise<{ length: number; digest: Buffer; runs: BlockRunOutput[]; data: Buffer }> {
    const runs: BlockRunOutput[] = [];
    let header: { length: number; digest: Buffer } | undefined;
    for await (const message of callServerStream(this.#channel, 'keeper', ReadChunk, request, {
      deadlineMs: 60_000,
      signal,
    })) {
      if (message.header) header = message.header;
      else if (message.blocks) runs.push(message.blocks);
    }
    if (!header) throw new Error('the read had no header');
    return { ...header, runs, data: Buffer.concat(runs.map(({ data }) => data)) };
  }

  stat(chunkId: string, readToken: Buffer): Promise<StatChunkResponseOutput> {
    return callUnary(
      this.#channel,
      'keeper',
      StatChunk,
      { chunkId, pieceIndex: 0, readToken },
      { deadlineMs: 60_000 },
    );
  }
}
