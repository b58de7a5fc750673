/**
 * Says what a plan does and does not do, in numbers and in words.
 *
 * The failure it answers: "under-replicated: 14" that stays at 14 all night. What is not repaired is counted
 * with its reason, so that status can tell an operator what to do about it.
 */
import { plural } from '../events/words.js';
import type { BlockReason, RepairSummary, RepairUrgency } from './repair-view.js';

/** The summary while it is being counted. */
export interface RepairTally {
  readonly safeMode: boolean;
  readonly braked: boolean;
  readonly below: Record<RepairUrgency, number>;
  unreadable: number;
  surplus: number;
  healthy: number;
  inFlight: number;
  readonly planned: Record<RepairUrgency, number>;
  readonly blocked: Record<BlockReason, number>;
}

const URGENCY_IN_WORDS: Readonly<Record<RepairUrgency, string>> = {
  endangered: 'endangered',
  'below-half': 'below half',
  'below-policy': 'below policy',
  draining: 'from keepers that are being emptied',
  'badly-placed': 'badly placed',
};

/** What each reason means and what helps. */
export const reasonInWords: Readonly<Record<BlockReason, string>> = {
  'no target with room': 'no target with room: add a keeper or free space',
  'no source': 'no source: no keeper that answers has the pieces to copy from',
  brake: 'the brake holds: many keepers were lost at once and may come back',
  budget: 'budget: they follow as soon as copies in flight are done',
};

export function emptyTally(safeMode: boolean, braked: boolean): RepairTally {
  return {
    safeMode,
    braked,
    below: noUrgencies(),
    unreadable: 0,
    surplus: 0,
    healthy: 0,
    inFlight: 0,
    planned: noUrgencies(),
    blocked: { 'no target with room': 0, 'no source': 0, brake: 0, budget: 0 },
  };
}

function noUrgencies(): Record<RepairUrgency, number> {
  return { endangered: 0, 'below-half': 0, 'below-policy': 0, draining: 0, 'badly-placed': 0 };
}

/** Closes the count. */
export function summarize(tally: RepairTally): RepairSummary {
  return { ...tally, text: tallyInWords(tally) };
}

/** What keeps chunks of a plan, other than that others come first; '' if nothing does. */
export function blockedInWords({ blocked, unreadable }: RepairSummary): string {
  const told = Object.entries(blocked)
    .filter(([reason, chunks]) => chunks > 0 && reason !== 'budget')
    .map(([reason, chunks]) => `${plural(chunks, 'chunk')}, ${reasonInWords[reason as BlockReason]}`);
  const none = `${plural(unreadable, 'chunk')}, no keeper that is there has a copy: start one again that had`;
  return [...told, ...(unreadable > 0 ? [none] : [])].join('; ');
}

/** What keeps chunks that have a piece too many, and none that may go. */
export function unconfirmedInWords(chunks: number): string {
  if (chunks === 0) return '';
  return `${plural(chunks, 'chunk')}, until the keepers of their other copies are there and have reported`;
}

/** What two pages of one look at the queue found together. */
export function addTally(sum: RepairTally, page: Omit<RepairSummary, 'text'>): RepairTally {
  return {
    safeMode: page.safeMode,
    braked: page.braked,
    below: addEach(sum.below, page.below),
    unreadable: sum.unreadable + page.unreadable,
    surplus: sum.surplus + page.surplus,
    healthy: sum.healthy + page.healthy,
    inFlight: sum.inFlight + page.inFlight,
    planned: addEach(sum.planned, page.planned),
    blocked: addEach(sum.blocked, page.blocked),
  };
}

function addEach<Key extends string>(
  a: Readonly<Record<Key, number>>,
  b: Readonly<Record<Key, number>>,
): Record<Key, number> {
  const keys = Object.keys(a) as Key[];
  return Object.fromEntries(keys.map((key) => [key, a[key] + b[key]])) as Record<Key, number>;
}

export function tallyInWords(tally: RepairTally): string {
  if (tally.safeMode) return 'Safe mode: nothing is planned until the keepers have reported their pieces.';
  const sentences = [plannedInWords(tally)];
  for (const [reason, chunks] of Object.entries(tally.blocked)) {
    if (chunks > 0)
      sentences.push(`${plural(chunks, 'chunk')} blocked, ${reasonInWords[reason as BlockReason]}.`);
  }
  if (tally.inFlight > 0) sentences.push(`${plural(tally.inFlight, 'chunk')} being completed.`);
  if (tally.surplus > 0) sentences.push(`${plural(tally.surplus, 'chunk')} with a piece too many.`);
  if (tally.unreadable > 0) {
    sentences.push(`${plural(tally.unreadable, 'chunk')} unreadable: fewer pieces are left than are needed.`);
  }
  return sentences.join(' ');
}

function plannedInWords(tally: RepairTally): string {
  const parts = Object.entries(tally.planned).filter(([, copies]) => copies > 0);
  if (parts.length === 0) return 'No copies planned.';
  const total = parts.reduce((sum, [, copies]) => sum + copies, 0);
  const detail = parts.map(([urgency, copies]) => `${copies} ${URGENCY_IN_WORDS[urgency as RepairUrgency]}`);
  return `${total} ${total === 1 ? 'copy' : 'copies'} planned (${detail.join(', ')}).`;
}
