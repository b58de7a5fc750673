/**
 * Every RPC of tracker and keepers with messages that are nearly right and plainly wrong, in every order, from callers
 * that leave in the middle. Each is answered by something that is the caller's fault or an honest state of the server,
 * in words; the processes stay up, others are served meanwhile, and in the end nothing is stored that was not asked for.
 *
 * HOLDFAST_FUZZ_SEED chooses the seed, HOLDFAST_FUZZ_SECONDS how long, HOLDFAST_FUZZ_LOGS=1 shows the servers' logs.
 */
import type { Client } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type Method, contract, definedPaths, keeperMethods, trackerMethods } from './support/contract.js';
import { Known, type MessageMaker, makeMessage, mutate, repeatField, textsIn } from './support/messages.js';
import { type Probed, probeDuring } from './support/probing.js';
import { Choices, fuzzMs, seeds } from './support/random.js';
import { type Outcome, callRaw, openRaw } from './support/raw-calls.js';
import { Target } from './support/target.js';
import { Conversations } from './support/conversations.js';

const quickMs = 5_000;
/** Calls on their way at a time. */
const callers = 8;
/** Nothing in a server grows with what is thrown at it; a message of 16 MiB and what it is taken apart into has room. */
const peakBytes = 700 * 1024 ** 2;

/** Figures are for runs that were asked for, on a machine that has nothing else to do. */
const measures = process.env['HOLDFAST_FUZZ_SECONDS'] !== undefined;
/** Long enough for some hundred answers where they are a measure. */
const normalMs = measures ? 5_000 : 500;
/**
 * Others wait no longer for any one small answer, wherever this runs. The messages that are slowest to be taken apart cost
 * a server tenths of a second; a machine of two cores that has other work makes some more of them.
 */
const longestWaitMs = 5_000;
/** How many times as long as without the attack others wait at most, in the middle. */
const mostSlowdown = 2;

/** What may be answered to a stranger's nonsense. INTERNAL and UNKNOWN are defects. */
const honest = new Set([
  ...[
    'OK',
    'INVALID_ARGUMENT',
    'NOT_FOUND',
    'ALREADY_EXISTS',
    'FAILED_PRECONDITION',
    'ABORTED',
    'OUT_OF_RANGE',
  ],
  ...['RESOURCE_EXHAUSTED', 'UNAUTHENTICATED', 'UNIMPLEMENTED'],
  // A block that does not match its checksum; too few keepers; a write that others run, or that stalls.
  ...['DATA_LOSS', 'UNAVAILABLE'],
]);
/** Of calls that do not end by themselves, or were ended here. */
const ended = new Set(['CANCELLED', 'DEADLINE_EXCEEDED']);

/**
 * What these name is taken away from whoever has it: they get names of nobody. That includes the cluster's, by which
 * whoever registers may say that keepers have witnessed later metadata, after which the tracker serves reads only.
 */
const changesKeepers =
  /\/(DrainKeeper|ForgetKeeper|SetMaintenance|TrashUnknownPieces|RegisterKeeper|Heartbeat|ReportPieces|CompleteTask)$/;
const keeperNames = new Set(['keeper_id', 'keeper_ids', 'storage_id', 'cluster_id']);

/** Who may delete or replace a file does: the files that are looked for afterwards are not named to these. */
const changesFiles =
  /\/(DeleteEntry|MoveEntry|CopyEntry|RestoreEntry|CreateDirectory|BeginUpload|CommitUpload)$/;

function withholdsFrom(method: Method): MessageMaker['withholds'] {
  if (changesKeepers.test(method.path)) return (fieldName) => keeperNames.has(fieldName);
  if (!changesFiles.test(method.path)) return () => false;
  const stored = new Set(target.ledger.paths);
  return (_, value) => stored.has(String(value));
}

let target: Target;
beforeEach(async () => {
  target = await Target.start();
});
afterEach(() => target.stop());

it('the descriptors name every method that there is', () => {
  const described = [...trackerMethods, ...keeperMethods].map(({ path }) => path);
  expect(described).toEqual(expect.arrayContaining(definedPaths()));
  expect(definedPaths().length).toBeGreaterThan(40);
  const names = contract.methods.flatMap(({ request }) => request.fields.map(({ name }) => name));
  expect(names).toEqual(expect.arrayContaining([...keeperNames]));
});

interface Finding {
  readonly what: string;
  readonly messages: string;
}

class Fuzzer {
  readonly findings = new Map<string, Finding>();
  readonly outcomes = new Map<string, number>();
  /** The first components of all paths that anybody asked for. */
  readonly asked = new Set<string>();
  calls = 0;
  readonly #choices: Choices;
  readonly #known = new Known(contract);
  readonly #clients: readonly { readonly client: Client; readonly methods: readonly Method[] }[];
  readonly #conversations: Conversations;

  constructor(seed: number) {
    this.#choices = new Choices(seed);
    const [tracker, ...keepers] = target.servers.map(({ address }) => openRaw(address));
    this.#clients = [
      { client: tracker!, methods: trackerMethods },
      { client: tracker!, methods: trackerMethods },
      ...keepers.map((client) => ({ client, methods: keeperMethods })),
    ];
    this.#conversations = new Conversations(target, this.#choices);
    this.#known.add('path', Buffer.from('/f-0'));
  }

  async run(durationMs: number): Promise<void> {
    const untilMs = performance.now() + durationMs;
    const caller = async (): Promise<void> => {
      while (performance.now() < untilMs && target.exits.length === 0) {
        if (this.#choices.once(12)) await this.#converse();
        else await this.#callOnce();
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
  }

  close(): void {
    for (const { client } of this.#clients) client.close();
    this.#conversations.close();
  }

  async #callOnce(): Promise<void> {
    const choices = this.#choices;
    const { client, methods } = choices.one(this.#clients);
    const method = choices.one(methods);
    const maker: MessageMaker = {
      ...{ choices, contract, known: this.#known },
      withholds: withholdsFrom(method),
    };
    const message = (): Buffer => {
      if (choices.once(150)) return repeatField(choices, method.request);
      const made = makeMessage(maker, method.request);
      return choices.once(3) ? mutate(choices, made) : made;
    };
    const count = method.requestStream ? choices.below(5) : choices.once(15) ? choices.one([0, 2, 3]) : 1;
    const leaves = choices.once(15);
    const isEndless = method.path.endsWith('Watch') || method.path.endsWith('WatchEntries');
    await this.#call(client, method, {
      messages: Array.from({ length: count }, message),
      halfClose: !choices.once(20),
      ...((leaves || isEndless) && { cancelAfterMs: choices.below(30) }),
    });
  }

  async #converse(): Promise<void> {
    for (const { client, method, messages, halfClose, leaves } of await this.#conversations.next()) {
      await this.#call(client, method, {
        messages,
        halfClose,
        ...(leaves && { cancelAfterMs: this.#choices.below(30) }),
      });
    }
  }

  async #call(
    client: Client,
    method: Method,
    call: { messages: readonly Buffer[]; halfClose: boolean; cancelAfterMs?: number },
  ): Promise<void> {
    // A caller that never ends its call leaves it after a while: how servers deal with those is for stalled-peers.
    const cancelAfterMs = call.halfClose ? call.cancelAfterMs : (call.cancelAfterMs ?? 200);
    const outcome = await callRaw(client, {
      ...{ path: method.path, messages: call.messages, halfClose: call.halfClose },
      ...(cancelAfterMs !== undefined && { cancelAfterMs }),
    });
    this.calls += 1;
    this.outcomes.set(outcome.status, (this.outcomes.get(outcome.status) ?? 0) + 1);
    this.#examine(method, call.messages, outcome, cancelAfterMs !== undefined);
    for (const answer of outcome.answers) this.#known.learn(method.response, answer);
    const isOurs = method.path.startsWith('/holdfast.');
    if (outcome.status === 'OK' && isOurs)
      for (const message of call.messages) this.#noteAsked(method, message);
  }

  #examine(method: Method, messages: readonly Buffer[], outcome: Outcome, isLeft: boolean): void {
    const { status, text, detail } = outcome;
    const isExpected = honest.has(status) || (ended.has(status) && (isLeft || outcome.answers.length > 0));
    const isWordless =
      !['OK', 'CANCELLED', 'DEADLINE_EXCEEDED'].includes(status) && (detail?.message ?? '') === '';
    if (isExpected && !isWordless) return;
    const what = `${method.path}: ${status} ${JSON.stringify(text.slice(0, 200))}${isWordless ? ', without details' : ''}`;
    const shown = messages.map((message) =>
      message.length > 2_000
        ? `${message.toString('hex', 0, 200)}… (${message.length} bytes)`
        : message.toString('hex'),
    );
    if (!this.findings.has(what)) this.findings.set(what, { what, messages: shown.join(' | ') });
  }

  /** What a call that was granted had in it: paths that are no text at all must not have been granted. */
  #noteAsked(method: Method, message: Buffer): void {
    let texts: Buffer[];
    try {
      texts = textsIn(contract, method.request, message);
    } catch {
      const what = `${method.path}: took a message that is malformed`;
      this.findings.set(what, { what, messages: message.toString('hex').slice(0, 4_000) });
      return;
    }
    for (const text of texts) {
      if (!text.equals(Buffer.from(text.toString()))) {
        const what = `${method.path}: took a text that is not UTF-8`;
        this.findings.set(what, { what, messages: message.toString('hex').slice(0, 4_000) });
      }
      const [, name] = text.toString().split('/');
      if (name !== undefined) this.asked.add(name);
    }
  }
}

function wordsOf(probed: readonly Probed[]): string {
  return probed
    .map(({ what, answers, medianMs, slowestMs }) => {
      const name = what.slice(what.lastIndexOf('/') + 1);
      return `${name} ${answers}×, median ${medianMs.toFixed(1)} ms, slowest ${slowestMs.toFixed(0)} ms`;
    })
    .join('; ');
}

it.each(seeds())(
  'HOLDFAST_FUZZ_SEED=%i: every answer is honest, others are served, nothing is left behind',
  async (seed) => {
    const durationMs = fuzzMs(quickMs);
    const normal = await probeDuring(target, () => new Promise((resolve) => setTimeout(resolve, normalMs)));
    const fuzzer = new Fuzzer(seed);
    const attacked = await probeDuring(target, () => fuzzer.run(durationMs));
    fuzzer.close();
    if (measures) {
      console.log(
        [
          `seed ${seed}: ${fuzzer.calls} calls in ${durationMs / 1_000} s: ${JSON.stringify(Object.fromEntries(fuzzer.outcomes))}`,
          `normal: ${wordsOf(normal)}`,
          `attacked: ${wordsOf(attacked)}`,
          `peak memory: ${JSON.stringify(target.peakBytes())}`,
        ].join('\n'),
      );
    }
    expect(target.exits).toEqual([]);
    expect([...fuzzer.findings.values()].slice(0, 20)).toEqual([]);
    expect(attacked.flatMap(({ failures }) => failures)).toEqual([]);
    for (const [name, bytes] of Object.entries(target.peakBytes())) {
      expect({ name, bounded: bytes < peakBytes, bytes }).toMatchObject({ name, bounded: true });
    }
    for (const { what, slowestMs } of attacked) {
      expect({ what, slowestMs, bounded: slowestMs < longestWaitMs }).toMatchObject({ bounded: true });
    }
    for (const [index, { what, medianMs }] of attacked.entries()) {
      const slowdown = medianMs / normal[index]!.medianMs;
      if (measures)
        expect({ what, slowdown, within: slowdown <= mostSlowdown }).toMatchObject({ within: true });
    }
    await target.judge((name) => fuzzer.asked.has(name));
  },
  fuzzMs(quickMs) + 600_000,
);
