/** What every call to a tracker takes. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Overrides the usual deadline of the call. */
  readonly deadlineMs?: number;
}
