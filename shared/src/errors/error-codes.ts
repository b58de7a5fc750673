/**
 * The closed set of error codes, and all that hangs on a code: the gRPC status it travels as, the exit status
 * a command ends with, and whether the same request may succeed later. The same set is the enum `ErrorCode`
 * of `holdfast/common/v1/error.proto` and the headings of `docs/errors.md`; a test keeps the three equal.
 */

/** gRPC status numbers, as in google.rpc.Code. Written out here so that this folder needs no gRPC library. */
const grpcStatus = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** Exit statuses that scripts may rely on (docs/errors.md). */
export const exitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  unavailable: 5,
  notPermitted: 6,
  dataLoss: 7,
  outOfSpace: 8,
  interrupted: 130,
} as const;

interface ErrorCodeTraits {
  readonly grpc: number;
  readonly exit: number;
  /** True if the same request may succeed later, a mutation with the same request_id. */
  readonly retryable: boolean;
}

function traits(grpc: number, exit: number, retryable = false): ErrorCodeTraits {
  return { grpc, exit, retryable };
}

export const errorCodes = {
  INVALID_ARGUMENT: traits(grpcStatus.invalidArgument, exitStatus.usage),
  NOT_FOUND: traits(grpcStatus.notFound, exitStatus.notFound),
  ALREADY_EXISTS: traits(grpcStatus.alreadyExists, exitStatus.conflict),
  NOT_EMPTY: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  NOT_A_DIRECTORY: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  IS_A_DIRECTORY: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  VERSION_CONFLICT: traits(grpcStatus.aborted, exitStatus.conflict),
  UPLOAD_CLOSED: traits(grpcStatus.failedPrecondition, exitStatus.failed),
  REQUEST_ID_REUSED: traits(grpcStatus.invalidArgument, exitStatus.failed),
  SOURCE_CHANGED: traits(grpcStatus.aborted, exitStatus.failed),
  UNAVAILABLE: traits(grpcStatus.unavailable, exitStatus.unavailable, true),
  DEADLINE_EXCEEDED: traits(grpcStatus.deadlineExceeded, exitStatus.unavailable, true),
  NOT_ENOUGH_KEEPERS: traits(grpcStatus.unavailable, exitStatus.unavailable, true),
  OUT_OF_SPACE: traits(grpcStatus.resourceExhausted, exitStatus.outOfSpace),
  LIMIT_EXCEEDED: traits(grpcStatus.resourceExhausted, exitStatus.outOfSpace),
  PERMISSION_DENIED: traits(grpcStatus.permissionDenied, exitStatus.notPermitted),
  UNAUTHENTICATED: traits(grpcStatus.unauthenticated, exitStatus.notPermitted),
  // Not retryable as it stands: a new token makes it another request.
  TOKEN_EXPIRED: traits(grpcStatus.unauthenticated, exitStatus.notPermitted),
  CHECKSUM_MISMATCH: traits(grpcStatus.dataLoss, exitStatus.dataLoss),
  DATA_LOSS: traits(grpcStatus.dataLoss, exitStatus.dataLoss),
  WRONG_CLUSTER: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  STALE_EPOCH: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  NOT_REGISTERED: traits(grpcStatus.failedPrecondition, exitStatus.failed),
  CURSOR_EXPIRED: traits(grpcStatus.outOfRange, exitStatus.conflict),
  METADATA_REGRESSED: traits(grpcStatus.failedPrecondition, exitStatus.unavailable),
  DISK_FAILED: traits(grpcStatus.unavailable, exitStatus.failed),
  DATA_DIR_LOCKED: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  DATA_DIR_INVALID: traits(grpcStatus.failedPrecondition, exitStatus.failed),
  ADDRESS_IN_USE: traits(grpcStatus.failedPrecondition, exitStatus.conflict),
  CANCELLED: traits(grpcStatus.cancelled, exitStatus.interrupted),
  UNIMPLEMENTED: traits(grpcStatus.unimplemented, exitStatus.failed),
  INTERNAL: traits(grpcStatus.internal, exitStatus.failed),
} as const satisfies Record<string, ErrorCodeTraits>;

export type ErrorCode = keyof typeof errorCodes;

/**
 * Refusals of a mutation that say how the namespace is, which another one may change. They are remembered for their
 * request_id: to have it looked at anew takes a new one.
 */
export const namespaceRefusals = [
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'NOT_EMPTY',
  'NOT_A_DIRECTORY',
  'IS_A_DIRECTORY',
  'VERSION_CONFLICT',
] as const satisfies readonly ErrorCode[];

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value);
}
