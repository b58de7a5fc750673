/**
 * Decides which pieces go from fuller keepers to emptier ones.
 *
 * The failure it answers: a cluster that was filled and then grown has old keepers that are full and new ones that
 * are empty; and a planner that evens out with zeal moves the same bytes to and fro, for all that a client ever
 * sees of it is the load.
 *
 * The method: the fewest bytes that bring every keeper within `tolerance` of the mean used share are known before
 * anything moves, and so is what each keeper gives or takes of them. If more is too full than too empty, the too
 * full give exactly that and the emptiest are raised with it like water in a basin; else the other way round.
 *
 * The promise: no more moves than that, but for the last piece of each keeper; no move makes two keepers change
 * places; none puts two pieces of a chunk in one zone that were in two. Pure: books in, decisions out.
 */
import { type OccupiedKeeper, failureDomain } from '../placement/placement.js';

/** A keeper that pieces may be moved from and to. */
export interface BalanceKeeper {
  readonly keeperId: string;
  /** The failure domain; empty for one of its own. */
  readonly zone: string;
  /** All that the storage may use, in bytes. */
  readonly totalBytes: number;
  /** What its pieces take, in bytes. */
  readonly usedBytes: number;
  /** What it still takes, in bytes. */
  readonly roomBytes: number;
}

/** How far from the mean used share a keeper may be: below what anyone notices when reading or writing. */
const defaultTolerance = 0.05;

export interface BalancePiece {
  readonly chunkId: string;
  readonly lengthBytes: number;
  /** All keepers that have a piece of the chunk. */
  readonly holders: readonly OccupiedKeeper[];
  /** Keepers that are getting one or are to trash one. */
  readonly barredKeeperIds?: readonly string[];
}

export interface PlannedMove {
  readonly chunkId: string;
  readonly lengthBytes: number;
  readonly fromKeeperId: string;
  readonly toKeeperId: string;
}

export interface BalanceOptions {
  readonly tolerance?: number;
  /**
   * True where the shortest way is barred, as zones may: then whoever has more than the mean gives, and whoever has
   * less takes.
   */
  readonly relaxed?: boolean;
}

interface Account extends BalanceKeeper {
  /** Bytes that it is still to give. */
  giveBytes: number;
  /** Bytes that it is still to take. */
  takeBytes: number;
}

/** The books of one round: what each keeper is to give or take, less all moves that were decided. */
export class Balance {
  readonly #accounts: Map<string, Account>;
  readonly #relaxed: boolean;
  /** The used share of all keepers together; moves do not change it. */
  readonly meanShare: number;
  /** The fewest bytes that bring every keeper within the tolerance. */
  readonly leastBytes: number;
  /** How far the keeper that is farthest from the mean is from it, as a share, before any move. */
  readonly distance: number;

  constructor(keepers: readonly BalanceKeeper[], options: BalanceOptions = {}) {
    const { tolerance = defaultTolerance, relaxed = false } = options;
    const all = keepers.filter((keeper) => keeper.totalBytes > 0);
    const sum = (of: (keeper: BalanceKeeper) => number): number =>
      all.reduce((total, keeper) => total + of(keeper), 0);
    const mean =
      sum((keeper) => keeper.usedBytes) /
      Math.max(
        1,
        sum((keeper) => keeper.totalBytes),
      );
    const above = (share: number): number => sum((keeper) => over(keeper, share));
    const below = (share: number): number => sum((keeper) => under(keeper, share));
    this.meanShare = mean;
    this.leastBytes = Math.max(above(mean + tolerance), below(mean - tolerance));
    this.distance = Math.max(0, ...all.map((keeper) => Math.abs(shareOf(keeper) - mean)));
    // What is taken off the fullest and what fills the emptiest are both the least; one of the two levels is the
    // edge of the tolerance, the other is found.
    const isUneven = this.leastBytes > 0;
    const top = !isUneven ? Infinity : relaxed ? mean : level(above, this.leastBytes, mean, maxShare(all));
    const bottom = !isUneven
      ? 0
      : relaxed
        ? mean
        : -level((share) => below(-share), this.leastBytes, -mean, 0);
    this.#relaxed = relaxed;
    this.#accounts = new Map(
      all.map((keeper) => [
        keeper.keeperId,
        { ...keeper, giveBytes: over(keeper, top), takeBytes: under(keeper, bottom) },
      ]),
    );
  }

  /** The keepers that are to give something, the fullest first. */
  sources(): string[] {
    return [...this.#accounts.values()]
      .filter((account) => account.giveBytes > 0)
      .sort((a, b) => shareOf(b) - shareOf(a) || (a.keeperId < b.keeperId ? -1 : 1))
      .map((account) => account.keeperId);
  }

  /** True if the keeper is to give more than was decided so far. */
  gives(keeperId: string): boolean {
    return (this.#accounts.get(keeperId)?.giveBytes ?? 0) > 0 && !this.#isEnough();
  }

  /**
   * Where a piece of this keeper goes, entered into the books; undefined if it stays; 'later' if those that it could
   * go to take nothing now.
   */
  move(
    fromKeeperId: string,
    piece: BalancePiece,
    takesNow: (keeperId: string) => boolean = () => true,
  ): PlannedMove | 'later' | undefined {
    const from = this.#accounts.get(fromKeeperId);
    if (!from || !this.gives(fromKeeperId)) return undefined;
    const { chunkId, lengthBytes, holders, barredKeeperIds = [] } = piece;
    const taken = new Set([...holders.map((holder) => holder.keeperId), ...barredKeeperIds]);
    const others = holders.filter((holder) => holder.keeperId !== fromKeeperId).map(failureDomain);
    const possible = [...this.#accounts.values()].filter(
      (account) =>
        account.takeBytes > 0 &&
        !taken.has(account.keeperId) &&
        account.roomBytes >= lengthBytes &&
        // A piece that shares its zone already may go to any other.
        (others.includes(failureDomain(from)) || !others.includes(failureDomain(account))) &&
        isCloser(from, account, lengthBytes),
    );
    const [to] = possible
      .filter((account) => takesNow(account.keeperId))
      .sort((a, b) => shareOf(a) - shareOf(b) || (a.keeperId < b.keeperId ? -1 : 1));
    if (!to) return possible.length > 0 ? 'later' : undefined;
    this.#accounts.set(from.keeperId, {
      ...from,
      usedBytes: from.usedBytes - lengthBytes,
      giveBytes: from.giveBytes - lengthBytes,
    });
    this.#accounts.set(to.keeperId, {
      ...to,
      usedBytes: to.usedBytes + lengthBytes,
      roomBytes: to.roomBytes - lengthBytes,
      takeBytes: to.takeBytes - lengthBytes,
    });
    return { chunkId, lengthBytes, fromKeeperId, toKeeperId: to.keeperId };
  }

  /** Everyone may give down to the mean, but only until the tolerance is kept. */
  #isEnough(): boolean {
    if (!this.#relaxed) return false;
    return new Balance([...this.#accounts.values()]).leastBytes === 0;
  }
}

/** The share above which there are `bytes`: `above` falls from `low`, where there are at least as many, to `high`. */
function level(above: (share: number) => number, bytes: number, low: number, high: number): number {
  let [from, to] = [low, high];
  // Forty halvings tell a byte in a terabyte.
  for (let step = 0; step < 40; step += 1) {
    const middle = (from + to) / 2;
    if (above(middle) > bytes) from = middle;
    else to = middle;
  }
  return to;
}

function shareOf({ usedBytes, totalBytes }: BalanceKeeper): number {
  return usedBytes / totalBytes;
}

function maxShare(keepers: readonly BalanceKeeper[]): number {
  return Math.max(0, ...keepers.map(shareOf));
}

/** What the keeper has above a share, in bytes. */
function over({ usedBytes, totalBytes }: BalanceKeeper, share: number): number {
  return Math.max(0, usedBytes - share * totalBytes);
}

/** What the keeper has below a share, in bytes. */
function under({ usedBytes, totalBytes }: BalanceKeeper, share: number): number {
  return Math.max(0, share * totalBytes - usedBytes);
}

/** True if the target is less full after the move than the source was before. */
function isCloser(from: BalanceKeeper, to: BalanceKeeper, lengthBytes: number): boolean {
  return (to.usedBytes + lengthBytes) / to.totalBytes < shareOf(from);
}
