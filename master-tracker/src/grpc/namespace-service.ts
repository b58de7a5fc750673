/** NamespaceService: messages in, checked; core calls; messages out. */
import type {
  CopyEntryRequestOutput,
  Durability as DurabilityMessage,
  Entry as EntryMessage,
  FileAttributesOutput,
  MoveEntryRequestOutput,
  NamespaceServiceHandlers,
  WatchEntriesResponse,
} from '@holdfast/proto';
import { HoldfastError, type Logger, checkRequestId, limits, splitPath } from '@holdfast/shared';
import { checkInteger, serverStream, unary, writePolicy } from '@holdfast/shared/grpc';
import type { Change } from '../changes/change-log.js';
import { readCursor, writeCursor } from '../changes/position.js';
import type { Told, Watches } from '../changes/watches.js';
import type { Durability, Entry, FileAttributes } from '../namespace/entry.js';
import type { Namespace } from '../namespace/namespace.js';
import type { TrackerSettings } from '../settings.js';
import type { TrashPosition } from '../trash/listing.js';
import type { Trash } from '../trash/trash.js';

export interface NamespaceServiceParts {
  readonly namespace: Namespace;
  readonly trash: Trash;
  readonly watches: Watches;
  readonly settings: Pick<TrackerSettings, 'watchHeartbeatMs'>;
}

export function namespaceHandlers(
  { namespace, trash, watches, settings }: NamespaceServiceParts,
  logger: Logger,
): NamespaceServiceHandlers {
  return {
    GetEntry: unary(
      async ({ path }) => ({ entry: writeEntry(await namespace.getEntry(splitPath(path))) }),
      logger,
    ),

    ListEntries: unary(async ({ path, pageSize, pageToken }) => {
      const size = Math.min(pageSize || limits.defaultListPageSize, limits.maxListPageSize);
      const page = await namespace.listEntries(splitPath(path), size, readPageToken(pageToken));
      return {
        entries: page.entries.map(writeEntry),
        nextPageToken: page.nextAfterName === undefined ? '' : writePageToken(page.nextAfterName),
      };
    }, logger),

    CreateDirectory: unary(async ({ path, parents, requestId }) => {
      const entry = await namespace.createDirectory(splitPath(path), parents, checkRequestId(requestId));
      return { entry: writeEntry(entry) };
    }, logger),

    MoveEntry: unary(async (request) => {
      return { entry: writeEntry(await namespace.moveEntry(...readFromTo(request))) };
    }, logger),

    DeleteEntry: unary(async (request) => {
      const deletedEntries = await namespace.deleteEntry(
        splitPath(request.path),
        request.recursive,
        readExpectedVersion(request.expectedVersion),
        checkRequestId(request.requestId),
      );
      return { deletedEntries };
    }, logger),

    CopyEntry: unary(async (request) => {
      return { entry: writeEntry(await namespace.copyEntry(...readFromTo(request))) };
    }, logger),

    RestoreEntry: unary(async (request) => {
      const names = splitPath(request.path);
      const version = checkInteger(request.version, 'version');
      const entry = await trash.restore({
        names,
        version: version === 0 ? undefined : version,
        destination: request.destinationPath === '' ? names : splitPath(request.destinationPath),
        expectedVersion: readExpectedVersion(request.expectedVersion) ?? 0,
        requestId: checkRequestId(request.requestId),
      });
      return { entry: writeEntry(entry) };
    }, logger),

    ListTrash: unary(async ({ path, pageSize, pageToken }) => {
      const names = splitPath(path === '' ? '/' : path);
      const size = Math.min(pageSize || limits.defaultListPageSize, limits.maxListPageSize);
      const page = await trash.list(names, size, readTrashToken(pageToken, names));
      return {
        versions: page.versions.map((version) => ({ ...version })),
        nextPageToken: page.next ? writeTrashToken(page.next) : '',
      };
    }, logger),

    EmptyTrash: unary(async ({ path, requestId }) => {
      const names = splitPath(path === '' ? '/' : path);
      return { ...(await trash.empty(names, checkRequestId(requestId))) };
    }, logger),

    WatchEntries: serverStream(async ({ path, cursor, shallow }, send, signal) => {
      splitPath(path);
      const from = cursor === '' ? undefined : readCursor(cursor);
      const tell = (told: Told): Promise<void> => send(writeTold(told, settings.watchHeartbeatMs));
      return watches.run({ path, shallow, from }, tell, signal);
    }, logger),
  };
}

const changeKinds = {
  created: 'CHANGE_KIND_CREATED',
  replaced: 'CHANGE_KIND_REPLACED',
  moved: 'CHANGE_KIND_MOVED',
  removed: 'CHANGE_KIND_REMOVED',
} as const satisfies Record<Change['kind'], string>;

function writeTold({ position, change }: Told, heartbeatIntervalMs: number): WatchEntriesResponse {
  const cursor = writeCursor(position);
  if (!change) return { cursor, heartbeatIntervalMs };
  const { kind, path, oldPath, type, entry, changedAtUnixMs } = change;
  return {
    ...{ cursor, kind: changeKinds[kind], path, entryType: entryTypes[type], changedAtUnixMs },
    ...(oldPath !== undefined && { oldPath }),
    ...(entry && { entry: writeEntry(entry) }),
  };
}

/** What a move and a copy are asked with, in the order in which the namespace takes it. */
function readFromTo(request: MoveEntryRequestOutput | CopyEntryRequestOutput) {
  return [
    splitPath(request.sourcePath),
    splitPath(request.destinationPath),
    readExpectedVersion(request.expectedVersion),
    checkRequestId(request.requestId),
  ] as const;
}

export function readExpectedVersion(value: number | undefined): number | undefined {
  return value === undefined ? undefined : checkInteger(value, 'expected_version');
}

/** Opaque to callers: the last name of the page before. */
function writePageToken(name: string): string {
  return Buffer.from(name).toString('base64url');
}

function readPageToken(token: string): string {
  const name = Buffer.from(token, 'base64url').toString();
  if (writePageToken(name) === token && Buffer.byteLength(name) <= limits.maxNameBytes) return name;
  throw new HoldfastError('INVALID_ARGUMENT', 'page_token is not one that ListEntries gave');
}

/** Opaque to callers: where the last version of the page before stands. */
function writeTrashToken({ path, leftTransactionId }: TrashPosition): string {
  return Buffer.from(`${leftTransactionId}${path}`).toString('base64url');
}

function readTrashToken(token: string, below: readonly string[]): TrashPosition | undefined {
  if (token === '') return undefined;
  const text = Buffer.from(token, 'base64url').toString();
  const [, digits = '', path = ''] = /^([0-9]{1,16})(\/.*)$/s.exec(text) ?? [];
  const position = { path, leftTransactionId: Number(digits) };
  const names = path === '' ? [] : splitPath(path);
  const isBelow = names.length > 0 && below.every((name, depth) => names[depth] === name);
  if (isBelow && writeTrashToken(position) === token) return position;
  throw new HoldfastError('INVALID_ARGUMENT', 'page_token is not one that ListTrash gave for this path');
}

export function readAttributes(message: FileAttributesOutput | null): FileAttributes {
  const { mode, modifiedAtUnixMs } = message ?? {};
  return {
    mode: mode === undefined ? undefined : checkInteger(mode, 'attributes.mode', 0, 0o7777),
    modifiedAtUnixMs:
      modifiedAtUnixMs === undefined
        ? undefined
        : checkInteger(modifiedAtUnixMs, 'attributes.modified_at_unix_ms', Number.MIN_SAFE_INTEGER),
  };
}

export function writeDurability(durability: Durability): DurabilityMessage {
  return { ...durability };
}

function writeAttributes({ mode, modifiedAtUnixMs }: FileAttributes) {
  return { ...(mode !== undefined && { mode }), ...(modifiedAtUnixMs !== undefined && { modifiedAtUnixMs }) };
}

const entryTypes = { file: 'ENTRY_TYPE_FILE', directory: 'ENTRY_TYPE_DIRECTORY' } as const;

export function writeEntry(entry: Entry): EntryMessage {
  const { attributes, policy, durability, contentDigest } = entry;
  return {
    path: entry.path,
    type: entryTypes[entry.type],
    sizeBytes: entry.sizeBytes,
    version: entry.version,
    createdAtUnixMs: entry.createdAtUnixMs,
    ...(attributes && { attributes: writeAttributes(attributes) }),
    ...(policy && { policy: writePolicy(policy) }),
    ...(durability && { durability: writeDurability(durability) }),
    ...(contentDigest !== undefined && { contentDigest: Buffer.from(contentDigest, 'hex') }),
  };
}
