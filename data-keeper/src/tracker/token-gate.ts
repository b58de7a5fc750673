/**
 * Who may write or read what: checks the tracker's tokens without asking it. A forged token, one for another
 * chunk and one that has expired are three different errors, because the remedy differs.
 */
import { HoldfastError, type TokenClaims, openToken } from '@holdfast/shared';
import type { AuthorityWatch } from './authority-watch.js';

/** What a call wants to do. */
export interface Wanted {
  readonly chunkId: string;
  /** Any of these does. */
  readonly operations: readonly TokenClaims['operation'][];
  /** Writes: the upload that the chunk belongs to, and its length in bytes. */
  readonly uploadId?: string;
  readonly lengthBytes?: number;
}

export class TokenGate {
  readonly #authority: Pick<AuthorityWatch, 'current' | 'estimatedUptimeMs' | 'epochKnownForMs'>;
  readonly #key: () => Uint8Array;
  readonly #lifetimeMs: number;

  constructor(
    authority: Pick<AuthorityWatch, 'current' | 'estimatedUptimeMs' | 'epochKnownForMs'>,
    key: () => Uint8Array,
    lifetimeMs: number,
  ) {
    this.#authority = authority;
    this.#key = key;
    this.#lifetimeMs = lifetimeMs;
  }

  /** @throws HoldfastError UNAUTHENTICATED, TOKEN_EXPIRED, INVALID_ARGUMENT (longer than allowed) */
  check(token: Uint8Array, wanted: Wanted): void {
    const claims = openToken(token, this.#key());
    const refuse = (why: string): HoldfastError =>
      new HoldfastError('UNAUTHENTICATED', `the token is refused: ${why}`, {
        remedy: 'Use the token that the tracker gave for this chunk.',
      });
    if (!wanted.operations.includes(claims.operation)) throw refuse(`it is for a ${claims.operation}`);
    if (claims.chunkId !== wanted.chunkId) throw refuse('it is for another chunk');
    if (wanted.uploadId !== undefined && claims.uploadId !== wanted.uploadId) {
      throw refuse('it is for another upload');
    }
    if (!this.#isInTime(claims)) {
      throw new HoldfastError('TOKEN_EXPIRED', 'the token has expired', {
        remedy: 'Ask the tracker for a new one.',
      });
    }
    const { lengthBytes = 0 } = wanted;
    const { maxLengthBytes = 0 } = claims;
    if (claims.operation === 'write' && lengthBytes > maxLengthBytes) {
      throw new HoldfastError(
        'INVALID_ARGUMENT',
        `the token allows ${maxLengthBytes} bytes, and the chunk has ${lengthBytes}`,
      );
    }
  }

  /**
   * Expiry is in the uptime of the tracker that signed. Of an earlier tracker that time has stopped, so its
   * tokens live on for a lifetime; of a newer one it is not known yet, and it signed just now.
   */
  #isInTime({ epoch, expiresAtUptimeMs }: TokenClaims): boolean {
    const knownEpoch = this.#authority.current?.epoch ?? 0;
    if (epoch > knownEpoch) return true;
    if (epoch < knownEpoch) return this.#authority.epochKnownForMs <= this.#lifetimeMs;
    return this.#authority.estimatedUptimeMs <= expiresAtUptimeMs;
  }
}
