/**
 * What repair is doing, why, and until when, for operators.
 *
 * The failure it answers: "14 below policy" all night, and nobody knows whether it is being worked on, waits for
 * something, or is forgotten.
 */
import { bytesInWords, plural } from '../events/words.js';
import { type KeeperName, whyMissingInWords } from '../registry/reasons.js';
import { type RepairTally, addTally, emptyTally, tallyInWords } from './repair-summary.js';
import type { BlockReason, RepairSummary } from './repair-view.js';

/** Why nothing can be planned at all. */
export type Standstill = 'regressed' | 'safe mode';

export const standstillInWords: Readonly<Record<Standstill, string>> = {
  regressed: 'nothing is copied while the metadata is behind what keepers have seen',
  'safe mode':
    'the tracker has just started and does not know yet who is there: nothing is copied until every keeper was heard of or counts as gone',
};

export interface RepairStatus {
  /** In a few sentences. */
  readonly text: string;
  readonly chunksQueued: number;
  readonly copiesInFlight: number;
  readonly bytesPerSecond: number;
  /** For each keeper that takes copies; 0 for none. */
  readonly limitBytesPerSecond: number;
  /** undefined if there is nothing to go by. */
  readonly remainingMs: number | undefined;
  readonly braked: boolean;
  readonly safeMode: boolean;
  /** Chunks that lacked a copy that could not be planned when they were last looked at. */
  readonly blocked: readonly { readonly reason: string; readonly chunks: number }[];
}

/** The summaries of pages, put together to what the last look at the whole queue found. */
export class RepairPass {
  #running: RepairTally | undefined;
  #whole: RepairTally | undefined;

  /** Adds a page; `isLast` if the queue ends with it. */
  add(summary: RepairSummary, isLast: boolean): void {
    this.#running = addTally(this.#running ?? emptyTally(summary.safeMode, summary.braked), summary);
    if (!isLast) return;
    this.#whole = this.#running;
    this.#running = undefined;
  }

  /** The queue was found empty. */
  clear(): void {
    this.#running = undefined;
    this.#whole = undefined;
  }

  /** What the last whole look found, or the first one so far; undefined before that. */
  get found(): RepairTally | undefined {
    return this.#whole ?? this.#running;
  }
}

export interface RepairStatusInput {
  readonly chunksQueued: number;
  readonly bytesMissing: number;
  readonly reasons: readonly { readonly because: string; readonly chunks: number }[];
  readonly copiesInFlight: number;
  readonly bytesPerSecond: number;
  readonly limitBytesPerSecond: number;
  readonly braked: boolean;
  readonly standstill: Standstill | undefined;
  readonly found: RepairTally | undefined;
  readonly name: KeeperName;
}

/** Goes away as copies are done; whatever else holds chunks up has no end that could be estimated. */
const passes: BlockReason = 'budget';
/** Reasons that are told; the rest is summed up. */
const maxReasons = 3;

export function describeRepair(input: RepairStatusInput): RepairStatus {
  const { chunksQueued, copiesInFlight, bytesPerSecond, braked, standstill, bytesMissing } = input;
  // The queue may have been counted a moment before it was looked through: the two must not contradict each other.
  const found = chunksQueued > 0 ? input.found : undefined;
  const blocked = Object.entries(found?.blocked ?? {})
    .filter(([, chunks]) => chunks > 0)
    .map(([reason, chunks]) => ({ reason, chunks }));
  const isHeldUp = standstill !== undefined || blocked.some(({ reason }) => reason !== passes);
  const canEstimate = chunksQueued > 0 && bytesPerSecond > 0 && !isHeldUp && (found?.unreadable ?? 0) === 0;
  return {
    text: inWords(input),
    chunksQueued,
    copiesInFlight,
    bytesPerSecond,
    limitBytesPerSecond: input.limitBytesPerSecond,
    remainingMs: canEstimate ? Math.ceil((bytesMissing / bytesPerSecond) * 1_000) : undefined,
    braked,
    safeMode: standstill === 'safe mode',
    blocked,
  };
}

function inWords(input: RepairStatusInput): string {
  const { chunksQueued, bytesMissing, standstill, found, braked } = input;
  const waits = `${plural(chunksQueued, 'chunk waits', 'chunks wait')} for copies of ${bytesInWords(bytesMissing)}${why(input)}.`;
  if (standstill) {
    const words = standstillInWords[standstill];
    return `${chunksQueued > 0 ? `${waits} ` : ''}${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
  }
  if (chunksQueued === 0)
    return `No chunk waits for a copy.${braked ? ' Many keepers were lost at once.' : ''}`;
  return `${waits} ${found ? tallyInWords(found) : 'Nobody has looked yet what can be done.'}`;
}

function why({ reasons, name }: RepairStatusInput): string {
  const known = reasons
    .map(({ because, chunks }) => ({ words: whyMissingInWords(because, name), chunks }))
    .filter(({ words }) => words !== '');
  const [first, ...others] = known.slice(0, maxReasons);
  if (!first) return '';
  if (others.length === 0 && reasons.length === 1) return `: ${first.words}`;
  const told = [first, ...others].map(({ words, chunks }) => `${chunks} as ${words}`);
  return ` (${told.join(', ')}${reasons.length > maxReasons ? ', …' : ''})`;
}
