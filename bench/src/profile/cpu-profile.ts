/** V8's CPU profiles: what a .cpuprofile file holds, and how much of a window of time each frame took. */

/** The part of the format (DevTools protocol, `Profiler.Profile`) that is used here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** In microseconds of the machine's monotonic clock, which all its processes share. */
  readonly startTime: number;
  /** The node that was on top at each sample. */
  readonly samples: readonly number[];
  /** Microseconds since the sample before; the first since `startTime`. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: Frame;
  readonly children?: readonly number[];
}

export interface Frame {
  /** '' for anonymous ones; '(idle)', '(program)', '(garbage collector)' for V8's own. */
  readonly functionName: string;
  /** '' for native functions. */
  readonly url: string;
  /** From 0; -1 for native functions. */
  readonly lineNumber: number;
}

/** In microseconds of the machine's monotonic clock. */
export interface Window {
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** Now, on the clock of the profiles. */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** A frame with those that called it, the innermost first. */
export type Stack = readonly [Frame, ...Frame[]];

/** How long each stack was on top within the window: it stays until the next sample. */
export function selfTimes(profile: CpuProfile, window: Window): Map<Stack, number> {
  const stacks = stacksById(profile.nodes);
  const times = new Map<Stack, number>();
  let from = profile.startTime;
  profile.samples.forEach((id, index) => {
    from += profile.timeDeltas[index] ?? 0;
    const to = from + (profile.timeDeltas[index + 1] ?? 0);
    const micros = Math.min(to, window.toMicros) - Math.max(from, window.fromMicros);
    const stack = stacks.get(id);
    if (micros > 0 && stack) times.set(stack, (times.get(stack) ?? 0) + micros);
  });
  return times;
}

function stacksById(nodes: readonly ProfileNode[]): Map<number, Stack> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  return new Map(nodes.map((node) => [node.id, stackOf(node)]));

  function stackOf(node: ProfileNode): Stack {
    const callers: Frame[] = [];
    let parent = parents.get(node.id);
    while (parent !== undefined) {
      const caller = byId.get(parent);
      if (caller) callers.push(caller.callFrame);
      parent = parents.get(parent);
    }
    return [node.callFrame, ...callers];
  }
}
