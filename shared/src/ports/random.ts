/** Randomness as a port, so that a whole cluster can run under a seed. */
export interface Random {
  /** `size` random bytes. Unpredictable in production: ids and keys come from here. */
  bytes(size: number): Buffer;
  /** A number in [0, 1). */
  fraction(): number;
}
