/**
 * What a tracker makes of metadata that somebody or something has been at: it starts and answers honestly, or says what
 * is wrong and what to do. SQLite has no checksums over its pages, so a flipped bit may pass as another value; it must
 * not pass as a defect, a hang or the end of the process.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HoldfastError } from '@holdfast/client';
import { startCluster } from '@holdfast/local-cluster';
import { type MasterTracker, startMasterTracker } from '@holdfast/master-tracker';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/files.js';
import { Ledger } from '../../support/ledger.js';
import { storeFiles } from '../../support/quick-cluster.js';
import { contract, trackerMethods } from './support/contract.js';
import { changes, releasePipe, replacements } from './support/damage.js';
import { Known, makeMessage } from './support/messages.js';
import { Choices, fuzzMs, seeds } from './support/random.js';
import { callRaw, openRaw } from './support/raw-calls.js';
import { within } from './support/within.js';

/** What hangs never ends. */
const startMs = 120_000;
const quickMs = 1_500;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let original: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  original = join(folder.path, 'original');
  const cluster = await startCluster({ keepers: 3, dataDir: folder.path });
  const ledger = new Ledger();
  await storeFiles(await cluster.connect(), ledger, { count: 5, chunks: 3, seed: 3 });
  // As after a power cut: much of it is in the log beside the database.
  await cp(join(folder.path, 'tracker'), original, { recursive: true });
  await rm(join(original, 'LOCK'));
  await cluster.stop();
});
afterAll(() => folder.remove());

async function startWith(
  name: string,
  damage: (path: string) => Promise<void>,
): Promise<HoldfastError | MasterTracker> {
  const dataDir = join(folder.path, 'damaged');
  await rm(dataDir, { recursive: true, force: true });
  await cp(original, dataDir, { recursive: true });
  const path = join(dataDir, name);
  await damage(path);
  try {
    return await within(
      startMs,
      `a start with ${name}`,
      startMasterTracker({ dataDir, listen: '127.0.0.1:0' }),
    );
  } catch (error) {
    if (HoldfastError.is(error)) return error;
    throw error;
  } finally {
    await releasePipe(path);
  }
}

/** Refused in words that help, or running and honest to whoever asks. */
async function expectHonest(outcome: HoldfastError | MasterTracker, seed: number): Promise<void> {
  if (HoldfastError.is(outcome)) {
    const { code, message, remedy } = outcome;
    expect({ code, message, remedy }).toMatchObject({
      code: expect.stringMatching(/^(DATA_DIR_INVALID|DATA_DIR_LOCKED|DISK_FAILED|UNAVAILABLE)$/),
      remedy: expect.stringMatching(/./),
    });
    return;
  }
  const client = openRaw(outcome.address);
  const choices = new Choices(seed);
  const known = new Known(contract);
  for (const path of ['/', '/f-0', '/f-1', '/f-4']) known.add('path', Buffer.from(path));
  try {
    for (const method of trackerMethods) {
      const message = makeMessage({ choices, contract, known, withholds: () => false }, method.request);
      const answer = await callRaw(client, { path: method.path, messages: [message], maxAnswers: 1 });
      expect([method.path, answer.status, answer.text]).toEqual([
        method.path,
        expect.not.stringMatching(/^(INTERNAL|UNKNOWN|DEADLINE_EXCEEDED)$/),
        answer.text,
      ]);
    }
  } finally {
    client.close();
    await within(startMs, 'the stop', outcome.stop());
  }
}

const places = ['metadata.sqlite', 'metadata.sqlite-wal', 'metadata.sqlite-shm', 'LOCK'];

describe.each(places)('%s that is', (name) => {
  // The log's pages have checksums, and are part of the metadata in the test below.
  const damages =
    name === 'metadata.sqlite' ? [...changes, ...replacements] : [...changes.slice(-2), ...replacements];
  it.each(damages.map((damage) => [damage.name, damage] as const))(
    '%s is no defect',
    async (_what, damage) => {
      const [seed] = seeds() as [number];
      await expectHonest(await startWith(name, (path) => damage.put(path, new Choices(seed))), seed);
    },
    600_000,
  );
});

it.each(seeds())(
  'HOLDFAST_FUZZ_SEED=%i: metadata that is changed anywhere is no defect',
  async (seed) => {
    const choices = new Choices(seed);
    const untilMs = performance.now() + fuzzMs(quickMs);
    while (performance.now() < untilMs) {
      const damage = choices.one(changes.slice(0, 4));
      const turn = choices.below(2 ** 31);
      // Several at once: what is damaged in one place mostly is in others.
      const times = choices.one([1, 1, 3, 20]);
      const outcome = await startWith('metadata.sqlite', async (path) => {
        const own = new Choices(turn);
        for (let n = 0; n < times; n += 1) await damage.put(path, own);
        // Otherwise the log brings most pages back.
        if (choices.once(2)) await rm(`${path}-wal`, { force: true });
      });
      await expectHonest(outcome, turn);
    }
  },
  fuzzMs(quickMs) + 600_000,
);
