/**
 * Two live keepers with one identity: somebody copied a data directory, and both copies were started.
 *
 * The failure it answers: each copy takes pieces and signs for them under the same name, so the tracker counts as one
 * keeper's what is spread over two, and whichever stops takes pieces along that it alone had. Every start of a keeper
 * has a number of its own (its incarnation), also when both began from equal copies, and only one start is registered
 * at a time: the other one, refused, goes on asking. A start that is not the registered one is a rival; one that is
 * heard again after a while is alive, and that is a conflict.
 *
 * The promise: pure, by the monotonic time that each call is given. A keeper that was killed and started again is no
 * conflict: what its old start had sent arrives within moments. A conflict ends when the rival has been silent for a
 * lease and the one that is left has registered and reported after that.
 */

export interface RivalTiming {
  /** A rival that is heard again this long after it was first heard is alive: no message is under way for so long. */
  readonly confirmAfterMs: number;
  /** A rival that was silent for this long is gone. */
  readonly goneAfterMs: number;
}

interface Rival {
  incarnation: number;
  /** Where it said that it is reached; '' as long as it did not say. */
  address: string;
  firstHeardMs: number;
  lastHeardMs: number;
  /** True once it is a conflict. */
  confirmed: boolean;
  /** True once the other one has registered while this one was gone. */
  outlived: boolean;
}

/** What a rival says of itself: registrations name an address, heartbeats do not. */
export interface RivalSign {
  readonly keeperId: string;
  readonly incarnation: number;
  readonly address?: string;
}

export class Rivals {
  readonly #timing: RivalTiming;
  /** By keeper. */
  readonly #rivals = new Map<string, Rival>();

  constructor(timing: RivalTiming) {
    this.#timing = timing;
  }

  /**
   * Another start than the registered one was heard, which itself was heard last at `registeredHeardMs`. The address of
   * the rival if it became a conflict just now: both were heard again after the rival was heard first.
   */
  heard(
    { keeperId, incarnation, address = '' }: RivalSign,
    nowMs: number,
    registeredHeardMs = nowMs,
  ): string | undefined {
    const known = this.#rivals.get(keeperId);
    // Signs of different starts are those of a keeper that is started again and again, not of two that live.
    if (!known || (!known.confirmed && known.incarnation !== incarnation)) {
      const heard = { firstHeardMs: nowMs, lastHeardMs: nowMs, confirmed: false, outlived: false };
      this.#rivals.set(keeperId, { incarnation, address, ...heard });
      return undefined;
    }
    known.incarnation = incarnation;
    known.address = address || known.address;
    known.lastHeardMs = nowMs;
    known.outlived = false;
    if (known.confirmed || nowMs - known.firstHeardMs < this.#timing.confirmAfterMs) return undefined;
    // A start that took the place of one that was killed, and counts fewer starts as its directory was restored.
    if (registeredHeardMs <= known.firstHeardMs) return undefined;
    known.confirmed = true;
    return known.address;
  }

  /** A start registers in place of `before`, which is then the rival of a conflict. */
  registered(incarnation: number, before: RivalSign & { readonly lastHeardMs: number }, nowMs: number): void {
    const { keeperId } = before;
    const known = this.#rivals.get(keeperId);
    if (!known) return;
    if (!known.confirmed) {
      // Who was only heard too early, and is registered now, is nobody's rival.
      if (known.incarnation === incarnation) this.#rivals.delete(keeperId);
      return;
    }
    if (before.incarnation !== incarnation) {
      known.incarnation = before.incarnation;
      known.address = before.address ?? '';
      known.lastHeardMs = before.lastHeardMs;
    }
    known.outlived = this.#isGone(known, nowMs);
  }

  /** True while another start than the registered one is heard, and wants its place. */
  hasRival(keeperId: string): boolean {
    return this.#rivals.has(keeperId);
  }

  /** True while two starts of the keeper are alive, or the one that is left has not reported yet. */
  isConflict(keeperId: string): boolean {
    return this.#rivals.get(keeperId)?.confirmed ?? false;
  }

  /** True if the rival of a conflict is gone, and the other one is to register again for that. */
  mustRegister(keeperId: string, nowMs: number): boolean {
    const known = this.#rivals.get(keeperId);
    return known !== undefined && known.confirmed && !known.outlived && this.#isGone(known, nowMs);
  }

  /** The registered start has reported all it has; true if that ends a conflict. */
  reported(keeperId: string): boolean {
    const known = this.#rivals.get(keeperId);
    if (!known?.confirmed || !known.outlived) return false;
    return this.#rivals.delete(keeperId);
  }

  /** The keeper has another storage now: what was said of the one before is of no more use. */
  forget(keeperId: string): void {
    this.#rivals.delete(keeperId);
  }

  /** Forgets rivals that were heard once and never again. */
  tick(nowMs: number): void {
    for (const [keeperId, rival] of this.#rivals) {
      if (!rival.confirmed && this.#isGone(rival, nowMs)) this.#rivals.delete(keeperId);
    }
  }

  /** The tracker was away: nobody could be heard meanwhile, and what waited for it comes all at once. */
  extend(gapMs: number, nowMs: number): void {
    for (const rival of this.#rivals.values()) {
      rival.firstHeardMs = Math.min(nowMs, rival.firstHeardMs + gapMs);
      rival.lastHeardMs = Math.min(nowMs, rival.lastHeardMs + gapMs);
    }
  }

  #isGone(rival: Rival, nowMs: number): boolean {
    return nowMs - rival.lastHeardMs >= this.#timing.goneAfterMs;
  }
}
