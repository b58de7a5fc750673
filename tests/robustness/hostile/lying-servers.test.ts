/**
 * Servers that lie to those who ask them: a client hears nonsense from its tracker and from keepers, a keeper from its
 * tracker and from peers. Behind each liar is a real server that says the truth, and it lies by a seed.
 *
 * HOLDFAST_FUZZ_SEED chooses the seed, HOLDFAST_FUZZ_SECONDS how long, HOLDFAST_FUZZ_LOGS=1 shows the servers' logs.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { seededBytes, temporaryFolder } from '../../support/files.js';
import { DeceivedClient } from './support/deceived-client.js';
import { DeceivedKeeper } from './support/deceived-keeper.js';
import { Choices, fuzzMs, seeds } from './support/random.js';
import { Target } from './support/target.js';

const quickMs = 1_500;
/** Clients at a time, each with lying servers of its own. */
const clients = 8;
/** The clients, and all who lie to them, are in this process. */
const residentBytes = 1_500 * 1024 ** 2;
/** As of servers to which strangers send nonsense: rpc-fuzz.test.ts. */
const keeperBytes = 700 * 1024 ** 2;
/** Figures are for runs that were asked for. */
const tells = process.env['HOLDFAST_FUZZ_SECONDS'] !== undefined;

let target: Target;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const files = new Map<string, Buffer>();
/** What nobody waited for and what nobody caught. */
const stray: string[] = [];
const onStray = (error: unknown): void =>
  void stray.push(error instanceof Error ? error.stack! : String(error));

beforeAll(async () => {
  folder = await temporaryFolder();
  target = await Target.start();
  const names = [
    'plain',
    'a b',
    '\x1b[2Jcleared',
    'two\nlines',
    '\u202etxt.exe',
    '%2e%2e',
    '-rf',
    '😀',
    '\\..\\up',
  ];
  const small = names.flatMap((name, index) =>
    [`/tree/${name}`, `/tree/deep/${name}`].map((path, at) => ({
      path,
      bytes: seededBytes(100 + 2 * index + at, 300 + 3_000 * index),
    })),
  );
  await target.client.makeDirectory('/tree/deep', { parents: true });
  await target.ledger.uploadMany(target.client, small);
  for (const path of target.ledger.paths) files.set(path, target.ledger.known(path) as Buffer);
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
});

afterAll(async () => {
  process.off('uncaughtException', onStray);
  process.off('unhandledRejection', onStray);
  await target.stop();
  await folder.remove();
});

it.each(seeds())(
  'HOLDFAST_FUZZ_SEED=%i: a client that is lied to fails in words and in time, and takes nothing for what it is not',
  async (seed) => {
    const durationMs = fuzzMs(quickMs);
    const deceived = await Promise.all(
      Array.from({ length: clients }, (_, index) =>
        DeceivedClient.start(
          target,
          join(folder.path, `w-${seed}-${index}`),
          files,
          new Choices(seed + index),
        ),
      ),
    );
    let peakBytes = 0;
    const look = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), 100);
    const over = new AbortController();
    setMaxListeners(0, over.signal);
    setTimeout(() => over.abort(), durationMs);
    await Promise.all(deceived.map((each) => each.run(over.signal)));
    clearInterval(look);
    for (const each of deceived) each.stop();
    if (tells) {
      for (const each of deceived) {
        console.log(
          `seed ${seed}: ${JSON.stringify(Object.fromEntries(each.ends))}, slowest: ${JSON.stringify(each.slowest)}`,
        );
      }
      console.log(`seed ${seed}: peak memory ${(peakBytes / 1024 ** 2).toFixed(0)} MiB`);
    }
    expect(deceived.flatMap(({ findings }) => [...findings.values()]).slice(0, 20)).toEqual([]);
    expect(stray).toEqual([]);
    expect(target.exits).toEqual([]);
    expect({ peakBytes, bounded: peakBytes < residentBytes }).toMatchObject({ bounded: true });
    await target.ledger.checkAll(target.client).catch((error: unknown) => {
      // What the clients stored is there too.
      if (!String(error).includes('nobody stored it')) throw error;
    });
  },
  fuzzMs(quickMs) + 600_000,
);

it.each(seeds())(
  'HOLDFAST_FUZZ_SEED=%i: a keeper that is lied to keeps what it has, takes nothing for what it is not, and serves others',
  async (seed) => {
    const durationMs = fuzzMs(quickMs);
    const own = join(folder.path, `keeper-${seed}`);
    const deceived = await DeceivedKeeper.start(target, own, new Choices(seed));
    try {
      const over = new AbortController();
      setTimeout(() => over.abort(), durationMs);
      await deceived.run(over.signal);
      await deceived.recovered();
      await deceived.judge();
      const { served, peakBytes } = deceived;
      if (tells) {
        const fetched = await deceived.fetched();
        console.log(
          `seed ${seed}: served others ${served} times, fetched ${fetched}, peak ${peakBytes} bytes`,
        );
      }
      expect(deceived.findings).toEqual([]);
      expect(served).toBeGreaterThan(0);
      expect({ peakBytes, bounded: peakBytes < keeperBytes }).toMatchObject({ bounded: true });
      expect(target.exits).toEqual([]);
    } finally {
      await deceived.stop();
    }
  },
  fuzzMs(quickMs) + 600_000,
);
