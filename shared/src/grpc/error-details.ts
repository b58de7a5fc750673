/**
 * Errors on the wire. Out: a HoldfastError becomes a gRPC status whose details hold one ErrorDetail, packed in
 * google.rpc.Status. In: any failure of a call becomes a HoldfastError, with the peer's code if it sent one.
 *
 * Texts are cut to 1 KiB, in both directions, and made well-formed first: a lone surrogate in `details` crashes grpc-js, and more
 * than about 80 KB of details never reach the peer.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { commonV1, type ErrorDetail, type ErrorDetailOutput, googleRpc } from '@holdfast/proto';
import { type ErrorCode, errorCodes, HoldfastError, fromErrno, isErrorCode } from '../errors/index.js';
import { limits } from '../limits.js';

const trailerKey = 'grpc-status-details-bin';
const typeUrl = 'type.googleapis.com/holdfast.common.v1.ErrorDetail';
const enumPrefix = 'ERROR_CODE_';

/** `text` as well-formed Unicode of at most limits.maxErrorMessageBytes bytes. */
export function wireText(text: string): string {
  const wellFormed = text.toWellFormed();
  if (Buffer.byteLength(wellFormed) <= limits.maxErrorMessageBytes) return wellFormed;
  const marker = '…';
  const room = limits.maxErrorMessageBytes - Buffer.byteLength(marker);
  const cut = Buffer.from(wellFormed).subarray(0, room).toString();
  // A character cut in half decodes to U+FFFD (three bytes): drop it, or the text grows again.
  return cut.replace(/\uFFFD+$/, '') + marker;
}

/** Any thrown value as a HoldfastError; what is not one is a defect (INTERNAL) or an errno. */
export function toHoldfastError(error: unknown, doing = 'the call failed'): HoldfastError {
  return HoldfastError.is(error) ? error : fromErrno(error, doing);
}

/** A HoldfastError as the contract's message, for statuses and for fields such as PieceFailure.error. */
export function toErrorDetail(error: HoldfastError): ErrorDetail {
  return {
    code: `${enumPrefix}${error.code}`,
    message: wireText(error.message),
    remedy: wireText(error.remedy),
    retryable: error.retryable,
    retryAfterMs: error.retryAfterMs,
    facts: Object.fromEntries(Object.entries(error.facts).map(([key, value]) => [key, wireText(value)])),
  };
}

/**
 * The contract's message as a HoldfastError, which is never without a word. A code that this version does not know is
 * INTERNAL.
 */
export function fromErrorDetail(detail: ErrorDetailOutput): HoldfastError {
  const said = String(detail.code).slice(enumPrefix.length);
  const code = isErrorCode(said) ? said : 'INTERNAL';
  return new HoldfastError(code, wireText(detail.message) || `the peer failed without saying why (${code})`, {
    remedy: wireText(detail.remedy),
    retryable: detail.retryable,
    retryAfterMs: detail.retryAfterMs,
    facts: detail.facts,
  });
}

/** What a server answers for `error`. Only messages of HoldfastErrors travel: others may hold paths. */
export function toStatusObject(error: unknown): StatusObject {
  const known = HoldfastError.is(error)
    ? error
    : new HoldfastError('INTERNAL', 'the server failed to handle the call', {
        cause: error,
        remedy: "Look for this call in the server's log.",
      });
  const code: number = errorCodes[known.code].grpc;
  const message = wireText(known.message);
  const metadata = new Metadata();
  const detail = commonV1.ErrorDetail.serialize(toErrorDetail(known));
  metadata.set(
    trailerKey,
    googleRpc.Status.serialize({ code, message, details: [{ type_url: typeUrl, value: detail }] }),
  );
  return { code, details: message, metadata };
}

/** Codes for statuses that come without details: from another server, or from grpc-js itself. */
export const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.ALREADY_EXISTS]: 'ALREADY_EXISTS',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [status.RESOURCE_EXHAUSTED]: 'LIMIT_EXCEEDED',
  [status.UNIMPLEMENTED]: 'UNIMPLEMENTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.DATA_LOSS]: 'DATA_LOSS',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

/** Whether a status that is to be sent says in our words what happened. */
export function hasDetails(metadata: Metadata | null | undefined): boolean {
  return (metadata?.get(trailerKey).length ?? 0) > 0;
}

function detailIn(metadata: Metadata | undefined): HoldfastError | undefined {
  const packed = metadata?.get(trailerKey)[0];
  if (!Buffer.isBuffer(packed)) return undefined;
  try {
    const envelope = googleRpc.Status.deserialize(packed);
    const value = envelope.details.find((any) => 'value' in any && any.type_url === typeUrl);
    if (!value || !('value' in value)) return undefined;
    return fromErrorDetail(commonV1.ErrorDetail.deserialize(Buffer.from(value.value as Uint8Array)));
  } catch {
    // A peer that sends nonsense details still sent a status: that is what counts.
    return undefined;
  }
}

/**
 * A failed call as a HoldfastError.
 *
 * @param peer whom was called, for the message: `tracker 127.0.0.1:7400`
 */
export function fromServiceError(error: unknown, peer: string): HoldfastError {
  if (HoldfastError.is(error)) return error;
  const failure = error as Partial<ServiceError>;
  if (typeof failure.code !== 'number') return toHoldfastError(error, `the call to ${peer} failed`);
  const sent = detailIn(failure.metadata);
  if (sent) return sent;
  const text = failure.details ?? failure.message ?? 'unknown error';
  // A broken connection shows as INTERNAL with one of these texts. The outcome is unknown, the call may be
  // repeated: it is the same case as UNAVAILABLE.
  const broken =
    failure.code === status.INTERNAL && /RST_STREAM|Session closed|stream closed|ECONNRESET/i.test(text);
  const code = broken ? 'UNAVAILABLE' : (codeOfStatus[failure.code] ?? 'INTERNAL');
  return new HoldfastError(code, `${peer}: ${wireText(text)}`, {
    cause: error,
    ...(remedies[code] && { remedy: remedies[code] }),
  });
}

const remedies: Partial<Record<ErrorCode, string>> = {
  UNAVAILABLE: 'Check the address, and that the server runs.',
  DEADLINE_EXCEEDED: 'Check that the server is not overloaded or frozen, and the network to it.',
  UNIMPLEMENTED: 'Check that the address is that of the right kind of Holdfast server, and its version.',
};
