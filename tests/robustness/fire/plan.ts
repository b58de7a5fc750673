/**
 * What goes wrong in a phase of the fire, planned from a seed: several faults at a time, each of which ends by itself,
 * within what the promises allow. Pure: a plan is data, and the same for the same seed.
 */
import { type Numbers, numbersFrom, pick } from '../../support/seeded-numbers.js';

/** Whom a kind of fault may befall. */
type Victims =
  | 'keeper'
  /** A keeper other than the one that no phase ends: what leaks shows in a process that lives long. */
  | 'mortal keeper'
  /** The one keeper of a phase that may lose what it stored: two copies are promised to outlive as much (S1). */
  | 'unlucky keeper'
  /** The keeper on a disk of its own, where there is one. */
  | 'keeper with a disk'
  | 'keeper with a disk that can hang'
  | 'tracker'
  | 'everything';

const victimsOf = {
  killed: ['mortal keeper', 'tracker'],
  'stopped in order': ['mortal keeper', 'tracker'],
  frozen: ['keeper', 'tracker'],
  silent: ['keeper', 'tracker'],
  deaf: ['keeper', 'tracker'],
  mute: ['keeper', 'tracker'],
  'silent on half of its connections': ['keeper', 'tracker'],
  'behind a narrow link': ['keeper', 'tracker'],
  'behind a long link': ['keeper', 'tracker'],
  'reset after some bytes': ['keeper', 'tracker'],
  refusing: ['keeper', 'tracker'],
  'given another time': ['keeper', 'tracker'],
  wiped: ['unlucky keeper'],
  'without some pieces': ['unlucky keeper'],
  'without a shard': ['unlucky keeper'],
  'with damaged pieces': ['unlucky keeper'],
  'with flipped bits': ['unlucky keeper'],
  full: ['keeper with a disk'],
  'on a frozen disk': ['keeper with a disk'],
  'on a disk without reads': ['keeper with a disk that can hang'],
  'all killed': ['everything'],
  'restarted one after the other': ['everything'],
} as const satisfies Readonly<Record<string, readonly Victims[]>>;

export type FaultKind = keyof typeof victimsOf;
export const faultKinds = Object.keys(victimsOf) as readonly FaultKind[];

/** One thing that goes wrong: data, so that it can be told, counted and planned again. */
export interface PlannedFault {
  readonly kind: FaultKind;
  /** 'tracker', 'everything', or the number of a keeper from 0. */
  readonly victim: 'tracker' | 'everything' | number;
  /** After the beginning of the phase. */
  readonly atMs: number;
  readonly durationMs: number;
  /** How hard it hits: its own numbers. */
  readonly seed: number;
}

export interface PhaseShape {
  readonly lengthMs: number;
  readonly keepers: number;
  /** What the first keeper's disk can be made to do. */
  readonly disk: 'none' | 'own' | 'own, with reads that can hang';
}

/** Between the beginnings of two faults, at most. */
const maxPauseMs = 800;
/** Of one fault: some keepers are dead to the tracker meanwhile (after 6 s) and some are not. */
const durationMs = [500, 10_000] as const;
/** Everybody waits for the tracker: with longer ones, nothing else would be tried. */
const maxTrackerDurationMs = 5_000;
/** Between two faults of one victim: as long as a process takes to start on a machine that is busy. */
const recoveryMs = 3_000;
/** Of those that befall everything. */
const everythingMs = 4_000;
/** Copies of a file, so that as many keepers are left for it. */
const copies = 3;

/** In the order of their beginnings. */
export function planPhase(seed: number, shape: PhaseShape): readonly PlannedFault[] {
  const numbers = numbersFrom(seed);
  const { lengthMs, keepers } = shape;
  const unlucky = numbers(keepers - 1);
  // A tracker that lives through a phase can be compared with itself.
  const trackerMayEnd = numbers(2) === 0;
  const planned: PlannedFault[] = [];
  if (numbers(2) === 0) planned.push(befallingEverything(numbers, lengthMs));
  for (let atMs = numbers(maxPauseMs); atMs < lengthMs; atMs += 1 + numbers(maxPauseMs)) {
    const kind = pick(numbers, faultKinds);
    const victim = victimOf(pick(numbers, victimsOf[kind]), numbers, unlucky, shape);
    const [least, most] = durationMs;
    const lasts = least + numbers((victim === 'tracker' ? maxTrackerDurationMs : most) - least);
    const fault = {
      kind,
      victim,
      atMs,
      durationMs: Math.min(lasts, lengthMs - atMs),
      seed: numbers(2 ** 30),
    };
    if (fault.victim === undefined) continue;
    if (fault.victim === 'tracker' && endsProcess(kind) && !trackerMayEnd) continue;
    if (mayBe(fault as PlannedFault, planned, keepers)) planned.push(fault as PlannedFault);
  }
  return planned.sort((one, other) => one.atMs - other.atMs);
}

function endsProcess(kind: FaultKind): boolean {
  return kind === 'killed' || kind === 'stopped in order';
}

/** In the middle of a phase, so that there is something before and after. */
function befallingEverything(numbers: Numbers, lengthMs: number): PlannedFault {
  const kinds = faultKinds.filter((kind) => victimsOf[kind].some((victims) => victims === 'everything'));
  const atMs = Math.floor(lengthMs / 3) + numbers(Math.ceil(lengthMs / 3));
  return { kind: pick(numbers, kinds), victim: 'everything', atMs, durationMs: everythingMs, seed: 0 };
}

/** Undefined if there is none here. */
function victimOf(
  victims: Victims,
  numbers: Numbers,
  unlucky: number,
  { keepers, disk }: PhaseShape,
): PlannedFault['victim'] | undefined {
  switch (victims) {
    case 'keeper':
      return numbers(keepers);
    case 'mortal keeper':
      return numbers(keepers - 1);
    case 'unlucky keeper':
      return unlucky;
    case 'keeper with a disk':
      return disk === 'none' ? undefined : 0;
    case 'keeper with a disk that can hang':
      return disk === 'own, with reads that can hang' ? 0 : undefined;
    case 'tracker':
      return 'tracker';
    case 'everything':
      return undefined; // once at most, and planned first
  }
}

/** As planned: no other is there at the same time, nor just before or after, that it may not be beside. */
function mayBe(fault: PlannedFault, planned: readonly PlannedFault[], keepers: number): boolean {
  const beside = planned.filter(
    ({ atMs, durationMs: lastsMs }) =>
      atMs < fault.atMs + fault.durationMs + recoveryMs && fault.atMs < atMs + lastsMs + recoveryMs,
  );
  return mayBeBeside(fault, beside, keepers);
}

/** One fault of a victim at a time, and as many keepers left alone as a file has copies. */
export function mayBeBeside(
  { victim }: PlannedFault,
  beside: readonly PlannedFault[],
  keepers: number,
): boolean {
  if (victim === 'everything') return beside.length === 0;
  if (beside.some((other) => other.victim === victim || other.victim === 'everything')) return false;
  if (victim === 'tracker') return true;
  const hit = beside.filter((other) => typeof other.victim === 'number');
  return new Set(hit.map((other) => other.victim)).size < Math.max(1, keepers - copies);
}
