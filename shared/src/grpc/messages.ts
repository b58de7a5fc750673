/**
 * The contract's messages to and from the domain's types, with every check that makes a hostile message
 * harmless: after these functions the core may trust its input.
 */
import type {
  KeeperEndpoint as KeeperEndpointMessage,
  KeeperEndpointOutput,
  Policy as PolicyMessage,
  PolicyOutput,
  Receipt as ReceiptMessage,
  ReceiptOutput,
  TrackerAuthority,
  TrackerAuthorityOutput,
} from '@holdfast/proto';
import type { Authority } from '../domain/authority.js';
import { digestBytes, isBlockSize } from '../domain/checksum.js';
import { checkId } from '../domain/ids.js';
import type { KeeperEndpoint } from '../domain/keeper-endpoint.js';
import { type Policy, defaultPolicy, replicaPolicy } from '../domain/policy.js';
import type { Receipt } from '../domain/receipts.js';
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';

function invalid(message: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', message);
}

/** A 64-bit field that must be an exact integer of `min` to `max`. */
export function checkInteger(value: number, what: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalid(`${what} must be a whole number from ${min} to ${max}, not ${value}`);
}

/** A message field that must be there. */
export function checkPresent<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw invalid(`${what} is missing`);
  return value;
}

export function checkDigest(value: Buffer, what = 'digest'): Buffer {
  if (value.length !== digestBytes)
    throw invalid(`${what} must have ${digestBytes} bytes, not ${value.length}`);
  // A copy: the field is a slice of the whole message and would keep all of it in memory.
  return Buffer.from(value);
}

/** See isBlockSize. */
export function checkBlockSize(bytes: number, what = 'block_size_bytes'): number {
  if (isBlockSize(bytes)) return bytes;
  throw invalid(`${what} must be a power of two from 4096 to ${limits.messageDataBytes}, not ${bytes}`);
}

export function checkAtMost<T>(items: readonly T[], max: number, what: string): readonly T[] {
  if (items.length <= max) return items;
  throw new HoldfastError('LIMIT_EXCEEDED', `${what}: at most ${max} in one call, not ${items.length}`);
}

/** HOST:PORT with a port of 1 to 65535. */
export function checkAddress(value: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(value);
  const port = Number(match?.[2] ?? 0);
  if (match && port >= 1 && port <= 65_535 && value.length <= limits.maxAddressLength) return value;
  throw invalid(`address must be HOST:PORT, not ${JSON.stringify(value.slice(0, 80))}`);
}

/** A failure domain's name; empty is none. */
export function checkZone(value: string): string {
  if (value.length <= limits.maxZoneLength && /^[A-Za-z0-9._/-]*$/.test(value)) return value;
  throw invalid(`zone must be at most ${limits.maxZoneLength} letters, digits, "." "_" "-" or "/"`);
}

export function readEndpoint(message: KeeperEndpointOutput | null | undefined, what: string): KeeperEndpoint {
  const present = checkPresent(message, what);
  return {
    keeperId: checkId(present.keeperId, `${what}.keeper_id`),
    address: checkAddress(present.address),
    zone: checkZone(present.zone),
  };
}

export function writeEndpoint(endpoint: KeeperEndpoint): KeeperEndpointMessage {
  return { ...endpoint };
}

export function readReceipt(message: ReceiptOutput): Receipt {
  return {
    chunkId: checkId(message.chunkId, 'receipt.chunk_id'),
    pieceIndex: checkInteger(message.pieceIndex, 'receipt.piece_index', 0, limits.maxPieces - 1),
    keeperId: checkId(message.keeperId, 'receipt.keeper_id'),
    storageId: checkId(message.storageId, 'receipt.storage_id'),
    incarnation: checkInteger(message.incarnation, 'receipt.incarnation'),
    lengthBytes: checkInteger(message.length, 'receipt.length', 1, limits.maxChunkSizeBytes),
    digest: checkDigest(message.digest, 'receipt.digest'),
    signature: Buffer.from(message.signature),
  };
}

export function writeReceipt(receipt: Receipt): ReceiptMessage {
  const { lengthBytes, ...rest } = receipt;
  return { ...rest, length: lengthBytes };
}

/** A policy wish; absent or with zeros it takes the default's values. */
export function readPolicy(
  message: PolicyOutput | null | undefined,
  fallback: Policy = defaultPolicy,
): Policy {
  if (!message) return fallback;
  if (message.scheme !== 'POLICY_SCHEME_REPLICAS' && message.scheme !== 'POLICY_SCHEME_UNSPECIFIED') {
    throw invalid('policy.scheme is not one that this version knows');
  }
  if (message.needed > 1) throw invalid('policy.needed is 1 under replicas');
  return replicaPolicy({ pieces: message.pieces, minWrite: message.minWrite }, fallback);
}

export function writePolicy(policy: Policy): PolicyMessage {
  const { pieces, needed, minWrite } = policy;
  return { scheme: 'POLICY_SCHEME_REPLICAS', pieces, needed, minWrite };
}

export function readAuthority(
  message: TrackerAuthorityOutput | null | undefined,
): Authority & { uptimeMs: number } {
  const present = checkPresent(message, 'authority');
  return {
    clusterId: checkId(present.clusterId, 'authority.cluster_id'),
    epoch: checkInteger(present.epoch, 'authority.epoch', 1),
    instanceId: checkId(present.instanceId, 'authority.instance_id'),
    transactionId: checkInteger(present.transactionId, 'authority.transaction_id'),
    uptimeMs: checkInteger(present.uptimeMs, 'authority.uptime_ms'),
  };
}

export function writeAuthority(authority: Authority, uptimeMs: number): TrackerAuthority {
  return { ...authority, uptimeMs: Math.floor(uptimeMs) };
}
