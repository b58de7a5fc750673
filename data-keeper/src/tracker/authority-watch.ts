/**
 * Whom the keeper obeys: the highest (epoch, tracker instance) of its own cluster that it has ever seen, also
 * before a restart (S8), and how far that tracker's metadata had come (S9). What is newer is on stable storage
 * before anything is done in its name, but for a tracker whose metadata is behind: it is obeyed, and not remembered.
 */
import { type Authority, type Clock, HoldfastError, type Logger, compareAuthority } from '@holdfast/shared';

/** The durable memory behind it: StorageIdentity. */
export interface AuthorityMemory {
  readonly clusterId: string;
  readonly witnessed: Authority | undefined;
  join(clusterId: string): Promise<void>;
  witness(authority: Authority): Promise<void>;
}

/** An authority as an answer of the tracker carries it. */
export interface OfferedAuthority extends Authority {
  /** The tracker's uptime when it answered, in milliseconds. */
  readonly uptimeMs: number;
}

export class AuthorityWatch {
  readonly #memory: AuthorityMemory;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #witnessIntervalMs: number;
  #current: Authority | undefined;
  /** The last one that was not behind: what is remembered. */
  #highest: Authority | undefined;
  #uptimeMs = 0;
  #heardMs = 0;
  #learnedMs = 0;
  #witnessedMs = 0;
  #flushing = false;
  /** One answer at a time: each is compared with what the one before it left. */
  #queue: Promise<void> = Promise.resolve();

  constructor(memory: AuthorityMemory, clock: Clock, logger: Logger, witnessIntervalMs: number) {
    this.#memory = memory;
    this.#clock = clock;
    this.#logger = logger;
    this.#witnessIntervalMs = witnessIntervalMs;
  }

  /** The tracker that the keeper obeys now; undefined before it heard one in this start. */
  get current(): Authority | undefined {
    return this.#current;
  }

  /** The highest authority that the storage has ever seen, with transactions that are not on disk yet. */
  get highest(): Authority | undefined {
    return this.#highest ?? this.#memory.witnessed;
  }

  /** The tracker's uptime now, as far as the keeper can tell; never ahead of it. In milliseconds. */
  get estimatedUptimeMs(): number {
    return this.#uptimeMs + (this.#clock.monotonicMs() - this.#heardMs);
  }

  /** How long this start of the keeper has known the current epoch, in milliseconds. */
  get epochKnownForMs(): number {
    return this.#clock.monotonicMs() - this.#learnedMs;
  }

  /**
   * Takes note of an answer's authority. Resolves when the answer may be obeyed.
   *
   * @throws HoldfastError WRONG_CLUSTER, STALE_EPOCH: the answer must be ignored; DISK_FAILED
   */
  admit(offered: OfferedAuthority): Promise<void> {
    const admitted = this.#queue.then(() => this.#admit(offered));
    this.#queue = admitted.catch(() => undefined);
    return admitted;
  }

  async #admit(offered: OfferedAuthority): Promise<void> {
    const { clusterId } = this.#memory;
    if (clusterId !== '' && offered.clusterId !== clusterId) throw this.#refuse('foreign', offered);
    const seen = this.highest;
    const order = compareAuthority(seen, offered);
    if (order === 'foreign' || order === 'stale' || order === 'rival') throw this.#refuse(order, offered);
    // A tracker that was started from an older copy serves reads. Remembered, its start would stand against that from
    // the newest copy, which may have the same epoch.
    const isBehind = order === 'newer' && offered.transactionId < (seen?.transactionId ?? 0);
    if (order === 'newer' && !isBehind) {
      if (clusterId === '') await this.#memory.join(offered.clusterId);
      await this.#witness(offered);
    }
    const { clusterId: cluster, epoch, instanceId } = offered;
    const transactionId = Math.max(offered.transactionId, seen?.transactionId ?? 0);
    if (this.#current?.epoch !== epoch) this.#learnedMs = this.#clock.monotonicMs();
    this.#current = { clusterId: cluster, epoch, instanceId, transactionId };
    if (!isBehind) this.#highest = this.#current;
    this.#uptimeMs = offered.uptimeMs;
    this.#heardMs = this.#clock.monotonicMs();
    if (this.#clock.monotonicMs() - this.#witnessedMs >= this.#witnessIntervalMs) this.#flushSoon();
  }

  /**
   * Not waited for: nothing is done in the name of a later transaction alone, and a disk that is full or hangs
   * must not cost the lease, or the trash order that makes room.
   */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#witnessedMs = this.#clock.monotonicMs();
    this.#flush()
      .catch((error: unknown) => {
        this.#logger.warn('the last transaction could not be witnessed; it is tried again', { error });
      })
      .finally(() => {
        this.#flushing = false;
      });
  }

  #refuse(order: 'foreign' | 'stale' | 'rival', offered: Authority): HoldfastError {
    const seen = this.highest;
    const said = {
      foreign: 'it belongs to another cluster',
      stale: `epoch ${offered.epoch} has been replaced by ${seen?.epoch}`,
      rival: `two trackers claim epoch ${offered.epoch}; they were started from one backup`,
    }[order];
    const error = new HoldfastError(
      order === 'foreign' ? 'WRONG_CLUSTER' : 'STALE_EPOCH',
      `the tracker is not obeyed: ${said}`,
      {
        remedy:
          order === 'foreign'
            ? 'Point --tracker at the tracker of this keeper, or --data-dir at an empty directory.'
            : 'Stop the old tracker; only one may run on a cluster.',
      },
    );
    this.#logger.error(error.message, { order, offered, seen });
    return error;
  }

  /** Puts the last transaction on stable storage, if it is not there yet. */
  flush(): Promise<void> {
    const flushed = this.#queue.then(() => this.#flush());
    this.#queue = flushed.catch(() => undefined);
    return flushed;
  }

  async #flush(): Promise<void> {
    if (this.#highest && this.#memory.witnessed?.transactionId !== this.#highest.transactionId) {
      await this.#witness(this.#highest);
    }
  }

  async #witness(authority: Authority): Promise<void> {
    const transactionId = Math.max(authority.transactionId, this.highest?.transactionId ?? 0);
    await this.#memory.witness({ ...authority, transactionId });
    this.#witnessedMs = this.#clock.monotonicMs();
  }
}
