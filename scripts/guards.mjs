/**
 * `npm run test:guards [-- options]`: tests of the tests. Takes the guards that tests/guards lists out of a private copy
 * of the checkout, one at a time, and runs the test that must notice. A guard whose absence nobody notices is one that
 * can be lost in any edit.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { guards } from '../tests/guards/guards.mjs';
import { copyCheckout } from './guards/checkout-copy.mjs';
import { runTest, stop } from './guards/run-test.mjs';
import { prepare } from './prepare.mjs';

const help = `Usage: npm run test:guards -- [options]

Takes each guard of tests/guards out of a private copy of the checkout, alone, and runs the test that must fail then.
Prints what was noticed; status 1 if anything was not.

  --only TEXT   only guards whose name, file or invariant has this text; may be given several times
  --list        show the guards and run nothing
  --jobs N      so many at a time, 1 to 16 (default: one for each core, at most 4)
  --json        print one JSON document instead of the table
  --help        this text

Examples:
  npm run test:guards
  npm run test:guards -- --only 'directory sync'
  npm run test:guards -- --only S5 --only data-keeper/src/scrub
  npm run test:guards -- --list --json`;

/** The slowest test files take some 20 s on an idle machine, and here they may share it. */
const unchangedLimits = { runMs: 300_000, testMs: 120_000 };
/** Without a guard a test may wait for ever: it fails after some times what the slowest of its file took before. */
const shortestTestMs = 15_000;
const patience = 4;
/** Several tests of one file may wait for ever. */
const waitsPerRun = 6;
const maxJobs = 16;
/** Each has a process of up to half a gigabyte. */
const defaultMaxJobs = 4;

const say = (line) => process.stderr.write(`${line}\n`);

function refuse(message) {
  say(`${message}\nSee npm run test:guards -- --help.`);
  process.exit(2);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        ...{ only: { type: 'string', multiple: true }, jobs: { type: 'string' } },
        ...{ list: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
      },
    });
    const jobs = Number(values.jobs ?? Math.min(defaultMaxJobs, availableParallelism()));
    if (!Number.isInteger(jobs) || jobs < 1 || jobs > maxJobs) {
      throw new Error(`--jobs must be 1 to ${maxJobs}, not ${values.jobs}`);
    }
    return { ...values, only: values.only ?? [], jobs };
  } catch (error) {
    return refuse(error.message);
  }
}

function chosen(only) {
  const isMeant = ({ name, file, invariant }, text) =>
    invariant === text || `${name} ${file}`.toLowerCase().includes(text.toLowerCase());
  const unknown = only.filter((text) => !guards.some((guard) => isMeant(guard, text)));
  if (unknown.length > 0) refuse(`No guard has ${unknown.join(', ')} in its name, file or invariant.`);
  return guards.filter((guard) => only.length === 0 || only.some((text) => isMeant(guard, text)));
}

/** The copies that tests run in, one for each that runs at a time, and the processes that do. */
class Workshop {
  #directory;
  #children = new Set();
  #free = [];

  constructor(jobs) {
    this.#directory = mkdtempSync(join(tmpdir(), 'holdfast-guards-'));
    for (let job = 0; job < jobs; job += 1) {
      const work = join(this.#directory, String(job));
      mkdirSync(work);
      copyCheckout(join(work, 'tree'));
      this.#free.push(work);
    }
  }

  /** Runs `work` for each item in a copy of its own, as many at a time as there are copies. */
  async forEach(items, work) {
    const left = [...items];
    const lanes = this.#free.map(async (copy) => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(copy, item);
    });
    await Promise.all(lanes);
  }

  test(copy, test, limits) {
    return runTest(copy, test, limits, this.#children);
  }

  /** Leaves nothing behind. */
  close() {
    for (const child of this.#children) stop(child);
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Every test file once, as it is; by file, what became of it. */
async function runUnchanged(workshop, wanted) {
  const byFile = new Map();
  for (const guard of wanted) byFile.set(guard.test, [...(byFile.get(guard.test) ?? []), guard]);
  const outcomes = new Map();
  await workshop.forEach(byFile, async (copy, [file, itsGuards]) => {
    const names = itsGuards.some(({ only }) => only === undefined) ? [] : itsGuards.map(({ only }) => only);
    const run = await workshop.test(copy, { file, names: [...new Set(names)] }, unchangedLimits);
    outcomes.set(file, run);
    say(`${run.outcome.padEnd(13)} ${seconds(run.seconds)}  unchanged: ${file}`);
    if (run.outcome !== 'passed') say(reasonOf(run));
  });
  return outcomes;
}

/** Why a run says nothing of its guards. */
function reasonOf({ tests, why }) {
  const failed = tests.filter(({ passed }) => !passed).map((test) => `${test.name}: ${test.why}`);
  return [...failed, why ?? ''].join('\n').replace(/^/gm, '    ');
}

/** Takes one guard away, runs its test, and puts the guard back. */
async function runWithout(workshop, copy, guard, before) {
  const path = join(copy, 'tree', guard.file);
  const source = readFileSync(path, 'utf8');
  const parts = source.split(guard.find);
  if (parts.length !== 2) {
    const why = `its text is ${parts.length - 1} times in ${guard.file}`;
    return { verdict: 'not taken out', why, seconds: 0, noticedBy: [] };
  }
  writeFileSync(path, parts.join(guard.replace));
  try {
    const names = guard.only === undefined ? [] : [guard.only];
    const testMs = Math.max(shortestTestMs, patience * Math.max(...before.tests.map(({ tookMs }) => tookMs)));
    const limits = { testMs, runMs: patience * 1_000 * before.seconds + waitsPerRun * testMs };
    const run = await workshop.test(copy, { file: guard.test, names }, limits);
    const noticedBy = run.tests.filter(({ passed }) => !passed).map(({ name }) => name);
    const verdict = { failed: 'caught', passed: 'NOT CAUGHT' }[run.outcome] ?? run.outcome;
    return { verdict, why: run.why, seconds: run.seconds, noticedBy };
  } finally {
    writeFileSync(path, source);
  }
}

function seconds(value) {
  return `${value.toFixed(1).padStart(6)} s`;
}

function table(columns, rows) {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((text, i) => text.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(help);
  const wanted = chosen(options.only);
  if (options.list) {
    if (options.json) return console.log(JSON.stringify(wanted, null, 2));
    const rows = wanted.map(({ name, invariant, file, test }) => [name, invariant, file, test]);
    return console.log(table(['guard', 'invariant', 'file', 'test'], rows));
  }
  // Without the build: the tests run the sources.
  prepare({ build: false });
  const startedMs = performance.now();
  const workshop = new Workshop(Math.min(options.jobs, wanted.length));
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ]) {
    process.on(signal, () => {
      workshop.close();
      process.exit(status);
    });
  }
  const results = [];
  try {
    const unchanged = await runUnchanged(workshop, wanted);
    await workshop.forEach(wanted, async (copy, guard) => {
      const before = unchanged.get(guard.test);
      const itsTests = before.tests.filter(({ name }) => name.includes(guard.only ?? ''));
      const result =
        itsTests.length > 0 && itsTests.every(({ passed }) => passed)
          ? await runWithout(workshop, copy, guard, before)
          : { verdict: 'no verdict', why: `${guard.test} does not pass as it is`, seconds: 0, noticedBy: [] };
      results.push({ guard, ...result });
      say(`${result.verdict.padEnd(13)} ${seconds(result.seconds)}  without: ${guard.name}`);
      if (result.why !== undefined) say(result.why.replace(/^/gm, '    '));
    });
    results.sort((a, b) => guards.indexOf(a.guard) - guards.indexOf(b.guard));
    report(results, (performance.now() - startedMs) / 1000, options.json);
  } finally {
    workshop.close();
  }
}

function report(results, totalSeconds, json) {
  const caught = results.filter(({ verdict }) => verdict === 'caught').length;
  if (json) {
    const rows = results.map(({ guard, verdict, why, seconds: took, noticedBy }) => ({
      ...{ name: guard.name, invariant: guard.invariant, file: guard.file, test: guard.test },
      ...{ verdict, noticedBy, seconds: Number(took.toFixed(1)), ...(why !== undefined && { why }) },
    }));
    const sum = { guards: results.length, caught, seconds: Number(totalSeconds.toFixed(1)) };
    console.log(JSON.stringify({ ...sum, results: rows }, null, 2));
  } else {
    const rows = results.map(({ guard, verdict, seconds: took }) => [
      ...[guard.name, guard.invariant, guard.test, verdict, took.toFixed(1)],
    ]);
    console.log(table(['guard', 'invariant', 'test', 'verdict', 'seconds'], rows));
    console.log(`guards: ${caught} of ${results.length} caught, in ${totalSeconds.toFixed(0)} s`);
  }
  process.exitCode = caught === results.length ? 0 : 1;
}

await main();
