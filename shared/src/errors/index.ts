export { defined } from './defined.js';
export { type ErrorCode, errorCodes, exitStatus, isErrorCode, namespaceRefusals } from './error-codes.js';
export { errnoOf, fromErrno } from './errno.js';
export { HoldfastError, type HoldfastErrorOptions, exitStatusOf, hasCode } from './holdfast-error.js';
