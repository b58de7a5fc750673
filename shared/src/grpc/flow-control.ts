/**
 * How much of a stream may be on its way: the two bounds that grpc-js has and does not offer to set. Both lean
 * on its insides, so they stand here alone, and a test fails when the insides change.
 *
 * The failures they answer: HTTP/2's 64 KiB window caps what a server receives at 9 MB/s per 4 ms of round trip;
 * and a stream reads 16 messages ahead of its reader, which at 1 MiB each is 16 MiB a stream (S10).
 */
import type { Server } from '@grpc/grpc-js';

/** Of a stream and of a connection, in bytes: enough for 1 GB/s at 4 ms of round trip. */
export const flowControlWindowBytes = 4 * 1024 * 1024;

/** Messages read ahead: one to work on while the next one arrives. */
const messagesAhead = 1;

interface WindowedSession {
  setLocalWindowSize(bytes: number): void;
}

interface ServerInsides {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): {
    on(event: 'session', listener: (session: WindowedSession) => void): unknown;
  };
}

/** Widens the windows of a server that is not bound yet (grpc-node PR 3058 would offer an option). */
export function widenWindows(server: Server): void {
  const insides = server as unknown as ServerInsides;
  insides.commonServerOptions.settings = {
    ...insides.commonServerOptions.settings,
    initialWindowSize: flowControlWindowBytes,
  };
  const create = insides.createHttp2Server.bind(server);
  insides.createHttp2Server = (credentials) => {
    const http2Server = create(credentials);
    http2Server.on('session', (session) => session.setLocalWindowSize(flowControlWindowBytes));
    return http2Server;
  };
}

/** Makes a stream of messages read `messagesAhead` and no more. For streams nobody has read from yet. */
export function readLittleAhead(stream: unknown): void {
  const state = (stream as { _readableState?: { highWaterMark: number } })._readableState;
  if (state) state.highWaterMark = messagesAhead;
}
