/**
 * What grpc-js can do and does not offer: all that leans on its insides stands here, and a test fails when they
 * change.
 *
 * The failures it answers: HTTP/2's 64 KiB window caps what a server receives at 9 MB/s per 4 ms of round trip;
 * a stream reads 16 messages ahead of its reader, which at 1 MiB each is 16 MiB a stream (S10); the status of a
 * call waits behind its last message, for ever if nobody takes that; and a server that is shut down by force says
 * CANCELLED to its callers, where one that was killed says nothing.
 */
import type { Server } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';

/** Of a stream and of a connection, in bytes: enough for 1 GB/s at 4 ms of round trip. */
export const flowControlWindowBytes = 4 * 1024 * 1024;

/**
 * Of a stream to a server that has many: what nobody takes stays in its memory up to the window. Also of the first
 * stream of a connection until the window has grown, which takes a round trip.
 */
const narrowWindowBytes = 512 * 1024;

/** With more streams than this a server opens them with the narrow window: 64 MiB in wide ones. */
const wideStreams = 16;

/** Messages read ahead: one to work on while the next one arrives. */
const messagesAhead = 1;

interface WindowedSession {
  readonly destroyed: boolean;
  setLocalWindowSize(bytes: number): void;
  settings(settings: { initialWindowSize: number }, acknowledged: () => void): void;
}

interface WindowedStream {
  readonly session: WindowedSession | undefined;
  once(event: 'close', listener: () => void): unknown;
}

interface ServerInsides {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): {
    maxConnections: number;
    on(event: 'session', listener: (session: WindowedSession) => void): unknown;
    on(event: 'stream', listener: (stream: WindowedStream) => void): unknown;
    on(event: 'connection', listener: (socket: Socket) => void): unknown;
  };
}

/** The open connections of the servers that are prepared. */
const socketsOf = new WeakMap<Server, Set<Socket>>();

/**
 * Prepares a server that is not bound yet: widens its windows (grpc-node PR 3058 would offer an option), bounds its
 * connections (the next one is closed at once) and keeps an eye on them.
 */
export function prepareServer(server: Server, maxConnections: number): void {
  const insides = server as unknown as ServerInsides;
  insides.commonServerOptions.settings = {
    ...insides.commonServerOptions.settings,
    initialWindowSize: narrowWindowBytes,
  };
  const sockets = new Set<Socket>();
  socketsOf.set(server, sockets);
  const create = insides.createHttp2Server.bind(server);
  insides.createHttp2Server = (credentials) => {
    const http2Server = create(credentials);
    http2Server.maxConnections = maxConnections;
    http2Server.on('session', (session) => session.setLocalWindowSize(flowControlWindowBytes));
    http2Server.on('stream', fitWindows());
    http2Server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    return http2Server;
  };
}

/** Gives each connection, when a stream begins on it, the window that fits how many streams there are in all. */
function fitWindows(): (stream: WindowedStream) => void {
  const windowBytes = new WeakMap<WindowedSession, number>();
  const unacknowledged = new WeakSet<WindowedSession>();
  let streams = 0;
  return (stream) => {
    streams += 1;
    stream.once('close', () => {
      streams -= 1;
    });
    const { session } = stream;
    const wanted = streams <= wideStreams ? flowControlWindowBytes : narrowWindowBytes;
    if (!session || session.destroyed || (windowBytes.get(session) ?? narrowWindowBytes) === wanted) return;
    // One at a time: Node ends a connection with more than ten settings that its peer has not acknowledged.
    if (unacknowledged.has(session)) return;
    unacknowledged.add(session);
    windowBytes.set(session, wanted);
    session.settings({ initialWindowSize: wanted }, () => unacknowledged.delete(session));
  };
}

/** Ends a prepared server as a killed process would: its callers see a broken connection and no status. */
export function cutOff(server: Server): void {
  for (const socket of socketsOf.get(server) ?? []) socket.destroy();
  server.forceShutdown();
}

/** Makes a stream of messages read `messagesAhead` and no more. For streams nobody has read from yet. */
export function readLittleAhead(stream: unknown): void {
  const state = (stream as { _readableState?: { highWaterMark: number } })._readableState;
  if (state) state.highWaterMark = messagesAhead;
}

/**
 * Ends a server's call now, with what waits to be sent; its caller sees RESOURCE_EXHAUSTED. False, and nothing was
 * done, if grpc-js has changed.
 */
export function resetCall(call: unknown): boolean {
  const { stream } = (call as { call?: { stream?: { close?(code: number): void } } }).call ?? {};
  if (!stream?.close) return false;
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}
