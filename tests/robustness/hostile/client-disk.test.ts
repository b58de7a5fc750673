/**
 * What a client makes of what it finds on its own disk: records of uploads and part files that are damaged, are another
 * upload's or no files at all. The transfer is right to the byte; what cannot be used is begun anew, and told.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { HoldfastClient, ResumeNotice } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { sha256Of, temporaryFolder, writeSeededFile } from '../../support/files.js';
import { changes, releasePipe, replacements } from './support/damage.js';
import { Choices, fuzzMs, seeds } from './support/random.js';
import { within } from './support/within.js';

const chunkSizeBytes = 64 * 1024;
const sizeBytes = 12 * chunkSizeBytes + 77;
/** What hangs never ends. */
const transferMs = 120_000;
const quickMs = 1_500;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let source: string;
let digest: string;
/** The record of an upload that was given up in the middle, to be copied. */
let left: string;
let records: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  cluster = await startCluster({ keepers: 2 });
  client = await cluster.connect();
  source = join(folder.path, 'source');
  digest = await writeSeededFile(source, sizeBytes, 5);
  left = join(folder.path, 'left');
  records = join(folder.path, 'records');
  const abort = new AbortController();
  const onProgress = ({ transferredBytes }: { transferredBytes: number }): void => {
    if (transferredBytes > sizeBytes / 2) abort.abort();
  };
  await expect(upload(left, { onProgress, signal: abort.signal })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  expect(await readdir(left)).toHaveLength(1);
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});
beforeEach(() => rm(records, { recursive: true, force: true }));

function upload(resume: string, more: Parameters<HoldfastClient['upload']>[2] = {}) {
  return client.upload(source, '/file', { chunkSizeBytes, replicas: 2, overwrite: true, resume, ...more });
}

/** Uploads with the record as `damage` leaves it; what was said about it. */
async function uploadWith(damage: (path: string) => Promise<void>): Promise<ResumeNotice[]> {
  await rm(records, { recursive: true, force: true });
  await cp(left, records, { recursive: true });
  const [name] = (await readdir(records)) as [string];
  const path = join(records, name);
  await damage(path);
  const notices: ResumeNotice[] = [];
  try {
    await within(transferMs, 'the upload', upload(records, { onResume: (notice) => notices.push(notice) }));
  } finally {
    for (const each of await readdir(records)) await releasePipe(join(records, each));
  }
  const target = join(folder.path, 'back');
  await client.download('/file', target, { overwrite: true });
  expect(await sha256Of(target)).toBe(digest);
  return notices;
}

describe('the record of an upload that is', () => {
  it('as it was left is gone on with', async () => {
    expect((await uploadWith(() => Promise.resolve())).map(({ kind }) => kind)).toContain('resumed');
  });

  it.each([...changes, ...replacements].map((damage) => [damage.name, damage] as const))(
    '%s costs no more than to send the file again',
    async (_what, damage) => {
      await uploadWith((path) => damage.put(path, new Choices(seeds()[0]!)));
    },
    600_000,
  );

  it.each(seeds())(
    'written by somebody who knows how does no harm (HOLDFAST_FUZZ_SEED=%i)',
    async (seed) => {
      const choices = new Choices(seed);
      const untilMs = performance.now() + fuzzMs(quickMs);
      while (performance.now() < untilMs) {
        await uploadWith(async (path) => {
          const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
          const at = choices.below(lines.length);
          const json: unknown = JSON.parse(lines[at]!.slice(lines[at]!.indexOf(' ') + 1));
          lines[at] = lineOf(spoil(choices, json));
          await writeFile(path, `${lines.join('\n')}\n`);
        });
      }
    },
    fuzzMs(quickMs) + 600_000,
  );
});

/** docs and code say: the CRC-32 in hexadecimal, a space, JSON. */
function lineOf(json: unknown): string {
  const text = JSON.stringify(json);
  return `${crc32(text).toString(16)} ${text}`;
}

const oddValues: readonly unknown[] = [
  ...[null, true, -1, 0, 1.5, 2 ** 53, 1e308, '', '0'.repeat(32), 'x'.repeat(5_000), [], {}, [[]], [null]],
  ...['../../etc/passwd', '\0', '__proto__', { __proto__: null, length: 1e9 }],
];

/** One value anywhere in it is another one, or gone. */
function spoil(choices: Choices, json: unknown): unknown {
  if (typeof json !== 'object' || json === null || choices.once(6)) return choices.one(oddValues);
  const copy = (Array.isArray(json) ? [...(json as unknown[])] : { ...json }) as Record<string, unknown>;
  const keys = Object.keys(copy);
  if (keys.length === 0) return choices.one(oddValues);
  const key = choices.one(keys);
  if (choices.once(8)) delete copy[key];
  else copy[key] = spoil(choices, copy[key]);
  return copy;
}

describe('beside the target of a download', () => {
  /** Of what is shorter no part file outlives its download. */
  const largeBytes = 33 * 1024 ** 2;
  let large: string;
  let largeDigest: string;
  beforeAll(async () => {
    large = join(folder.path, 'large');
    largeDigest = await writeSeededFile(large, largeBytes, 6);
    await client.upload(large, '/large', { replicas: 2 });
  });

  /** Downloads beside a part file as `put` leaves it; what was said about it. */
  async function downloadBeside(put: (part: string) => Promise<void>): Promise<ResumeNotice[]> {
    const into = join(folder.path, 'into');
    await rm(into, { recursive: true, force: true });
    await mkdir(into);
    const entry = await client.stat('/large');
    // As a download that was killed names it; "free" is what anybody may take over.
    await put(join(into, `.back.holdfast.${entry.version}.free-01234567.part`));
    const notices: ResumeNotice[] = [];
    const onResume = (notice: ResumeNotice): void => void notices.push(notice);
    try {
      const target = join(into, 'back');
      const options = { resume: true, onResume };
      await within(transferMs, 'the download', client.download('/large', target, options));
      expect(await sha256Of(target)).toBe(largeDigest);
      // Nor is anything of it left that a file could be mistaken for.
      const left = await readdir(into, { withFileTypes: true });
      expect(left.filter((each) => each.isFile()).map(({ name }) => name)).toEqual(['back']);
    } finally {
      for (const each of await readdir(into)) await releasePipe(join(into, each));
    }
    return notices;
  }

  it.each(replacements.map((damage) => [damage.name, damage] as const))(
    'a part file that is %s is in nobody’s way',
    async (_what, damage) => {
      await downloadBeside((part) => damage.put(part, new Choices(1)));
    },
    600_000,
  );

  it('a part file with all the bytes is gone on with', async () => {
    expect((await downloadBeside((part) => cp(large, part))).map(({ kind }) => kind)).toEqual(['resumed']);
  });

  const [seed] = seeds().slice(-1) as [number];
  it.each(changes.map((damage) => [damage.name, damage] as const))(
    `a part file with all the bytes that is %s costs no more than to fetch them again (HOLDFAST_FUZZ_SEED=${seed})`,
    async (_what, damage) => {
      await downloadBeside(async (part) => {
        await cp(large, part);
        await damage.put(part, new Choices(seed));
      });
    },
    600_000,
  );
});
