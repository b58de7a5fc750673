/**
 * Samples of Linux's `perf`: what a CPU did for a process, in the kernel and in native code too, where V8's
 * profiles see nothing. The samples follow CPU time, so that waiting, and waiting for a CPU, do not count.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { command } from '../machine/command.js';
import type { Window } from './cpu-profile.js';

/** In the order of the report. */
export const perfGroups = [
  'kernel: copying',
  'kernel: sockets and TCP',
  'kernel: files and memory',
  'kernel: scheduling, interrupts',
  'kernel: other',
  'HTTP/2 framing',
  'copying buffers',
  'checksums',
  'garbage collection',
  'compiling JavaScript',
  'JavaScript and its runtime',
  'malloc and free',
  'Node and libuv',
  'other',
] as const;
export type PerfGroup = (typeof perfGroups)[number];

/** One moment of one thread's CPU time. */
export interface PerfSample {
  readonly pid: number;
  readonly micros: number;
  readonly symbol: string;
  /** The file of the code; '[kernel.kallsyms]' for the kernel's. */
  readonly object: string;
}

/** Often enough for some thousand samples a step, and no divisor of the kernel's own ticks. */
const samplesPerSecond = 997;
const stopTimeoutMs = 10_000;

/** The first that fits decides. Names of functions, as Linux 6 and Node 20 to 26 have them. */
type Rules = readonly (readonly [PerfGroup, RegExp])[];

const kernelRules: Rules = [
  [
    'kernel: copying',
    /^_*copy_(to|from|folio|page|user|mc)|^_*(rep_movs|skb_copy|csum_partial|memcpy)|_memcpy$/,
  ],
  [
    'kernel: sockets and TCP',
    /^_*(tcp|skb|sock|sk_|inet|ip_|ip4|ipv4|net_|netif|napi|loopback|eth_|qdisc|dev_|nf_|do_epoll|ep_|lock_sock|release_sock)/,
  ],
  [
    'kernel: scheduling, interrupts',
    /sched|task_switch|irq|softirq|futex|wake_up|try_to_wake|hrtimer|timer|syscall|exit_to_user|context_switch|dequeue|enqueue/,
  ],
  [
    'kernel: files and memory',
    /ext4|xfs|btrfs|jbd2|fuse|vfs|file|folio|page|xas_|xa_|blk|bio|block|buffer_head|slab|kmem|kmalloc|kfree|alloc|mem|mpage|virtqueue|virtio|iomap|fault|mmap|vma|clear_|pte|lru|extent|^mas_|percpu_counter/,
  ],
];

const userRules: Rules = [
  ['HTTP/2 framing', /nghttp2|::http2::/],
  ['copying buffers', /^_*mem(cpy|move|set)/],
  ['checksums', /crc32|CRC32|sha256|sha512|EVP_|HMAC/],
  [
    'garbage collection',
    /MarkCompact|Scaveng|Sweep|Marking|Evacuat|Heap::|GCTracer|BodyDescriptor|WeakCodeRegistry|Spaces?::|GlobalHandles/,
  ],
  [
    'compiling JavaScript',
    /::compiler::|::maglev::|Scanner|Parser|Preparse|baseline::|interpreter::|Assembler|Bytecode/,
  ],
  ['JavaScript and its runtime', /^Builtins_|v8::/],
  ['malloc and free', /malloc|free|calloc|unlink_chunk|^operator (new|delete)/],
  ['Node and libuv', /^uv_|^node::/],
];

/** The kind of work that a sample was taken in. */
export function perfGroupOf({ symbol, object }: PerfSample): PerfGroup {
  if (object.startsWith('[kernel') || object === '[vdso]') {
    return kernelRules.find(([, names]) => names.test(symbol))?.[0] ?? 'kernel: other';
  }
  // Code that V8 made while the program ran is in no file.
  if (/^(\/\/anon|anon|\[unknown\]|.*perf-\d+\.map)/.test(object)) return 'JavaScript and its runtime';
  return userRules.find(([, names]) => names.test(symbol))?.[0] ?? 'other';
}

/** Reads `perf script -F pid,tid,time,ip,sym,dso`, such as `7/7  12.345678:  ffff8 tcp_ack ([kernel.kallsyms])`. */
export function parsePerfScript(text: string): PerfSample[] {
  const line = /^\s*(\d+)\/\d+\s+(\d+)\.(\d{6}):\s+[0-9a-f]+ (.*) \((.*)\)$/gm;
  return Array.from(text.matchAll(line), ([, pid, seconds, micros, symbol = '', object = '']) => ({
    pid: Number(pid),
    micros: Number(seconds) * 1e6 + Number(micros),
    symbol,
    object,
  }));
}

/** Shares of the CPU time of one process in a window, by group; they add up to 1. Empty without samples. */
export function perfShares(
  samples: readonly PerfSample[],
  pid: number,
  { fromMicros, toMicros }: Window,
): ReadonlyMap<PerfGroup, number> {
  const own = samples.filter(
    (sample) => sample.pid === pid && sample.micros >= fromMicros && sample.micros < toMicros,
  );
  const shares = new Map<PerfGroup, number>();
  for (const sample of own) {
    const group = perfGroupOf(sample);
    shares.set(group, (shares.get(group) ?? 0) + 1 / own.length);
  }
  return shares;
}

/** Why `perf` cannot be used, in a phrase for people; undefined if it can. */
export async function perfUnavailable(): Promise<string | undefined> {
  try {
    await command('perf', 'record', '-q', '-o', '/dev/null', '--', 'true');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A recording of some processes, from its start until it is stopped. */
export class PerfRecording {
  readonly #path: string;
  readonly #perf: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param path the file for perf's own data */
  constructor(path: string, pids: readonly number[]) {
    this.#path = path;
    const flags = ['-q', '-F', String(samplesPerSecond), '-k', 'CLOCK_MONOTONIC', '-o', path];
    this.#perf = spawn('perf', ['record', ...flags, '-p', pids.join(',')], {
      stdio: 'ignore',
      detached: true, // a Ctrl-C at the terminal goes to the bench alone
    });
    this.#ended = once(this.#perf, 'exit');
  }

  /** Ends the recording, if it has not ended by itself with the processes. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#perf.exitCode === null && this.#perf.signalCode === null) {
      this.#perf.kill('SIGINT'); // how perf is asked to write what it has
      const force = setTimeout(() => this.#perf.kill('SIGKILL'), stopTimeoutMs);
      await this.#ended;
      clearTimeout(force);
    }
  }

  async samples(): Promise<PerfSample[]> {
    return parsePerfScript(
      await command('perf', 'script', '-i', this.#path, '-F', 'pid,tid,time,ip,sym,dso'),
    );
  }
}
