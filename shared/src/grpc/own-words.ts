/**
 * What grpc-js answers by itself, to calls that no handler gets to see or that break off before one is done, said as we
 * say it: with a code of ours, what is wrong, and what to do. By itself it says INTERNAL, without a word, where a caller
 * sent nonsense, which reads like a defect of the server.
 */
import { type Metadata, status } from '@grpc/grpc-js';
import { type ErrorCode, HoldfastError } from '../errors/index.js';
import { codeOfStatus, hasDetails, toStatusObject } from './error-details.js';

/** A status as grpc-js hands it on. */
export interface Said {
  readonly code?: status | null;
  readonly details?: string | null;
  readonly metadata?: Metadata | null;
}

interface OwnWords {
  /** What grpc-js says; a test fails when it says something else. */
  readonly said: RegExp;
  readonly code: ErrorCode;
  readonly message?: string;
  readonly remedy: string;
}

const oneMessage = 'Send one whole message, then end the call.';

const known: readonly OwnWords[] = [
  {
    said: /^Error deserializing request/,
    code: 'INVALID_ARGUMENT',
    message:
      'the request is malformed: it is no message of this method, or not whole, has text that is not UTF-8, or too many fields',
    remedy: 'Send what the .proto files of the contract describe.',
  },
  {
    said: /^Failed to decompress message/,
    code: 'INVALID_ARGUMENT',
    message: 'the request says that it is compressed, and cannot be decompressed',
    remedy: 'Send it as it is, or compressed as grpc-encoding says.',
  },
  {
    said: /unsupported encoding/,
    code: 'UNIMPLEMENTED',
    message: 'the request is compressed in a way that this server does not know',
    remedy: 'Send it as it is, or compressed with gzip or deflate.',
  },
  {
    said: /^Invalid grpc-timeout/,
    code: 'INVALID_ARGUMENT',
    message: 'grpc-timeout is no duration',
    remedy: 'Write it as digits and one of H, M, S, m, u and n.',
  },
  {
    said: /^Received no request message/,
    code: 'INVALID_ARGUMENT',
    message: 'the call ended before its request had come',
    remedy: oneMessage,
  },
  {
    said: /^Received a second request message/,
    code: 'INVALID_ARGUMENT',
    message: 'the call has more than one request',
    remedy: oneMessage,
  },
  {
    said: /^Received message (larger than max|that decompresses to a size larger)/,
    code: 'LIMIT_EXCEEDED',
    remedy: 'Ask for less in one call; docs/protocol.md lists the limits.',
  },
];

/** The status to send instead. What handlers say has our details already. */
export function inOwnWords(said: Said): Said {
  const { code, details, metadata } = said;
  if (code === undefined || code === null || code === status.OK || hasDetails(metadata)) return said;
  const text = details ?? '';
  const own = known.find((each) => each.said.test(text));
  if (own) return toStatusObject(new HoldfastError(own.code, own.message ?? text, { remedy: own.remedy }));
  const ours = codeOfStatus[code];
  return ours ? toStatusObject(new HoldfastError(ours, text)) : said;
}
