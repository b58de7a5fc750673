/** A run of the bench as a file: enough to make every table again, and to repeat the run. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Machine } from './machine/description.js';
import type { Failure } from './run/run.js';
import type { Checked } from './run/stage.js';
import type { Sizes } from './run/sizes.js';
import type { Sample } from './samples.js';

export interface Results {
  /** Of this layout. */
  readonly format: 1;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: Machine;
  /** Repeats the order and the contents with `--seed`. */
  readonly seed: number;
  readonly runs: number;
  readonly quick: boolean;
  readonly sizes: Sizes;
  /** What could not run here, and why. */
  readonly absent: Readonly<Record<string, string>>;
  readonly failures: readonly Failure[];
  /** How often bytes that came back were compared with those that went up. */
  readonly checks: Readonly<Record<Checked, number>>;
  readonly samples: readonly Sample[];
}

const resultsFolder = fileURLToPath(new URL('../results', import.meta.url));

/** A path in bench/results with this name, or the name and a number, that is not taken. */
async function freePath(name: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const path = join(resultsFolder, `${name}${number === 1 ? '' : `-${number}`}.json`);
    const taken = await stat(path).catch(() => undefined);
    if (!taken) return path;
  }
}

/** Resolves to where they are. */
export async function writeResults(results: Results, output?: string): Promise<string> {
  const { startedAt, machine } = results;
  return writeNamedResults(
    `${machine.platform.replace(' ', '-')}-${machine.cores}-cores`,
    startedAt,
    results,
    output,
  );
}

/** The results of a program of the bench, named by their day and by `name`; resolves to where they are. */
export async function writeNamedResults(
  name: string,
  startedAt: string,
  results: object,
  output?: string,
): Promise<string> {
  const path = output ?? (await freePath(`${startedAt.slice(0, 10)}-${name}`));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(results, undefined, 1)}\n`);
  return path;
}

/** @throws Error if the file is not there, or not of this layout */
export async function readResults(path: string): Promise<Results> {
  const results = JSON.parse(await readFile(path, 'utf8')) as Partial<Results>;
  if (results.format !== 1 || !Array.isArray(results.samples)) {
    throw new Error(`${path} holds no results of this bench`);
  }
  return results as Results;
}
