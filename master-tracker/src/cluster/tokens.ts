/** The tokens that this start of the tracker gives out: they expire by its uptime (S11). */
import { type Clock, HoldfastError, openToken, signToken } from '@holdfast/shared';
import type { TrackerIdentity } from './identity.js';

export class TokenIssuer {
  /** How long a token is good, in milliseconds. */
  readonly lifetimeMs: number;
  readonly #identity: TrackerIdentity;
  readonly #clock: Clock;
  readonly #startedMs: number;

  constructor(identity: TrackerIdentity, clock: Clock, lifetimeMs: number) {
    this.lifetimeMs = lifetimeMs;
    this.#identity = identity;
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** Milliseconds since this start of the tracker. */
  uptimeMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }

  write(chunkId: string, uploadId: string, maxLengthBytes: number): Buffer {
    return this.#sign({ operation: 'write', chunkId, uploadId, maxLengthBytes });
  }

  read(chunkId: string): Buffer {
    return this.#sign({ operation: 'read', chunkId });
  }

  /**
   * Checks that whoever bears `token` was given `chunkId` to read. An expired one still proves that.
   *
   * @throws HoldfastError UNAUTHENTICATED
   */
  checkRead(token: Uint8Array, chunkId: string): void {
    const claims = openToken(token, this.#identity.tokenKey);
    if (claims.operation === 'read' && claims.chunkId === chunkId) return;
    throw new HoldfastError('UNAUTHENTICATED', 'the read_token was made for another chunk');
  }

  #sign(claims: {
    operation: 'write' | 'read';
    chunkId: string;
    uploadId?: string;
    maxLengthBytes?: number;
  }): Buffer {
    const expiresAtUptimeMs = this.uptimeMs() + this.lifetimeMs;
    return signToken({ ...claims, epoch: this.#identity.epoch, expiresAtUptimeMs }, this.#identity.tokenKey);
  }
}
