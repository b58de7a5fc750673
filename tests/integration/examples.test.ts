/**
 * The examples of docs/client-api.md and of the README's library section, each run as it stands: against a cluster that
 * has a few files, in a folder that has a few files, with `client` connected.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as library from '@holdfast/client';
import type { ConnectOptions, HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { createReadStream, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import ts from 'typescript';
import { temporaryFolder } from '../support/files.js';
import { quickCluster } from '../support/quick-cluster.js';

interface Example {
  readonly name: string;
  readonly code: string;
}

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

/** The blocks of a page that are examples, named by the heading above them. */
function examplesOf(path: string, mark: RegExp): Example[] {
  const page = read(path);
  return [...page.matchAll(mark)].map(({ index, groups }) => {
    const heading = page.slice(0, index).match(/^#+ .*$(?![\s\S]*^#+ )/m)?.[0] ?? path;
    return { name: `${path} ${heading.replace(/^#+ /, '')}`, code: groups?.['code'] ?? '' };
  });
}

const ofThePage = examplesOf('docs/client-api.md', /^Example:\n\n```ts\n(?<code>.*?)^```/gms);
const ofTheReadme = examplesOf('README.md', /^```ts\n(?<code>.*?)^```/gms);

let cluster: Cluster;
let client: HoldfastClient;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const home = process.cwd();

/** Connects to the cluster of this test, whichever an example names; closed with the cluster. */
const connect = ({ tracker: _, ...options }: ConnectOptions = {}): Promise<HoldfastClient> =>
  cluster.connect(options);

/** Runs an example as the body of an asynchronous function; what it imports is there already. */
async function run(code: string): Promise<void> {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(`{ ${code.replace(/^import .*$/gm, '')}\n}`, { compilerOptions });
  const output = new PassThrough();
  output.resume();
  const given = {
    ...library,
    ...{ connect, client, startCluster, createReadStream, pipeline },
    console: { log: (...words: unknown[]) => expect(words).not.toContain(undefined) },
    process: { stdout: output },
  };
  const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;
  const body = AsyncFunction(...Object.keys(given), outputText.replace(/^export \{\};$/m, '')) as (
    ...values: unknown[]
  ) => Promise<void>;
  await body(...Object.values(given));
}

beforeAll(async () => {
  folder = await temporaryFolder();
  // One more than there are copies, so that a keeper can be drained.
  cluster = await quickCluster(4, {
    // No example is about keepers that are late.
    trackerSettings: { trashRetentionMs: 3_600_000, suspectAfterMs: 5_000, deadAfterMs: 60_000 },
  });
  client = await cluster.connect();
  process.chdir(folder.path);
});

afterAll(async () => {
  process.chdir(home);
  await cluster.stop();
  await folder.remove();
});

beforeEach(async () => {
  for await (const { jobId } of client.listJobs()) await client.cancelJob(jobId);
  for await (const { path } of client.list('/')) await client.remove(path, { recursive: true });
  await client.makeDirectory('/photos');
  await client.writeFile('/photos/cat.jpg', 'not really a cat');
  await client.writeFile(
    '/hello.txt',
    'hello, and what is so much more that there are eighty bytes of it in one file.\n',
  );
  await client.writeFile('/log', 'a line\n'.repeat(1_000));
  for (const name of ['cat.jpg', 'photo.jpg', 'notes.txt', 'big.tar']) await writeFile(name, name);
});

describe('every example runs', () => {
  it('there are some', () => {
    expect(ofThePage.length).toBeGreaterThan(30);
    expect(ofTheReadme.length).toBeGreaterThan(1);
  });

  it.each([...ofThePage, ...ofTheReadme].map(({ name, code }) => [name, code]))('%s', async (_name, code) => {
    await run(code);
  });
});
