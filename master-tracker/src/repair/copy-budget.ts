/**
 * Who may take part in how many copies, and with how much room: the books of one plan.
 *
 * The failure it answers: repair that is as fast as it can be takes the disks from the clients, and a hundred
 * copies that each fit a keeper's free space do not fit it together. Every planned copy is entered here before
 * the next one is considered.
 */
import { defined } from '@holdfast/shared';
import type { PlacementCandidate } from '../placement/placement.js';
import { copyShare } from './copy-share.js';
import type { CopyLimits, PlannedCopy, RepairUrgency, RepairView } from './repair-view.js';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Account {
  asTarget: number;
  asSource: number;
  rateLeftBytes: number;
  /** True while clients are at work on the keeper: repair gives way to them. */
  readonly busy: boolean;
}

export class CopyBudget {
  /** The keepers that can take copies at all, with what is in flight and planned counted as reserved. */
  readonly #targets = new Map<string, Mutable<PlacementCandidate>>();
  readonly #accounts = new Map<string, Account>();
  readonly #view: RepairView;
  #total: number;

  constructor(view: RepairView) {
    this.#view = view;
    this.#total = view.inFlight.length;
    for (const keeper of view.keepers) {
      const { keeperId, zone, totalBytes, freeBytes, reservedBytes } = keeper;
      this.#accounts.set(keeperId, {
        asTarget: keeper.copiesAsTarget,
        asSource: keeper.copiesAsSource,
        rateLeftBytes: keeper.rateLeftBytes,
        busy: keeper.clientStreams > view.limits.busyStreams,
      });
      if (keeper.state !== 'live' || keeper.draining || !keeper.storageWritable) continue;
      const activeStreams = keeper.copiesAsTarget + keeper.copiesAsSource;
      this.#targets.set(keeperId, { keeperId, zone, totalBytes, freeBytes, reservedBytes, activeStreams });
    }
    for (const copy of view.inFlight) this.#reserve(copy.targetKeeperId, copy.pieceBytes);
  }

  /** True if no more copies of this urgency may be under way in the cluster. */
  isSpent(urgency: RepairUrgency): boolean {
    return this.#total >= this.#limits(urgency).total;
  }

  /** The keepers that can take a copy, whether or not they are busy. */
  targets(): PlacementCandidate[] {
    return [...this.#targets.values()];
  }

  /** True if the keeper may begin another copy of this urgency. */
  mayReceive(keeperId: string, urgency: RepairUrgency): boolean {
    const { asTarget, busy, rateLeftBytes } = this.#account(keeperId);
    if (urgency === 'endangered') return asTarget < this.#limits(urgency).perTarget;
    return asTarget < (busy ? 1 : this.#limits(urgency).perTarget) && !(rateLeftBytes <= 0);
  }

  /** True if another copy of this urgency may be made from the keeper. */
  maySend(keeperId: string, urgency: RepairUrgency): boolean {
    const { asSource, busy } = this.#account(keeperId);
    return asSource < (busy && urgency !== 'endangered' ? 1 : this.#limits(urgency).perSource);
  }

  /** How many copies, in whole ones, are being made from the keeper, those of this plan included. */
  sending(keeperId: string): number {
    return this.#account(keeperId).asSource;
  }

  /** Enters a planned copy. */
  charge(copy: PlannedCopy): void {
    this.#total++;
    const share = copyShare(copy.pieceBytes);
    const target = this.#account(copy.targetKeeperId);
    target.asTarget += share;
    if (copy.urgency !== 'endangered') target.rateLeftBytes -= copy.pieceBytes;
    this.#reserve(copy.targetKeeperId, copy.pieceBytes);
    for (const keeperId of copy.sourceKeeperIds.slice(0, copy.sourcesNeeded)) {
      this.#account(keeperId).asSource += share;
    }
  }

  #reserve(keeperId: string, sizeBytes: number): void {
    const target = this.#targets.get(keeperId);
    if (target) target.reservedBytes += sizeBytes;
  }

  #account(keeperId: string): Account {
    // Only keepers of the view are ever asked for.
    return defined(this.#accounts.get(keeperId), 'the account of a keeper');
  }

  #limits(urgency: RepairUrgency): CopyLimits {
    return urgency === 'endangered' ? this.#view.limits.endangered : this.#view.limits.ordinary;
  }
}
