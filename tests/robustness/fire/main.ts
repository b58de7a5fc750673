/** `npm run fire`: phase after phase on one cluster, until the time is over or a promise is broken. */
import { temporaryFolder } from '../../support/files.js';
import { Fire } from './fire.js';
import { type FireCommand, parseOptions, usage } from './options.js';
import { reportOf, tableOf } from './report.js';

/** How long things go wrong in a phase; to mend and to judge takes about as long. */
const phaseMs = 45_000;
/** A rest, until connections that carried blocks are let go of, lasts for more than a minute. */
const phasesBetweenRests = 5;
/** How often it is told how it goes. */
const tellMs = 5_000;
/** Lines of the log that are shown after a violation. */
const shownLines = 60;

async function main(): Promise<number> {
  let command;
  try {
    command = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (command === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  return burn(command);
}

async function burn({ minutes, seed, keepers, json }: FireCommand): Promise<number> {
  const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`);
  const startMs = performance.now();
  const elapsedMs = (): number => performance.now() - startMs;
  const folder = await temporaryFolder();
  let isInterrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      isInterrupted = true;
      say(`${signal}: the phase is brought to its end; once more ends all at once`);
    });
  }
  say(`seed ${seed}, everything is in ${folder.path}`);
  let fire: Fire | undefined;
  let phases = 0;
  let violation: string | undefined;
  const teller = setInterval(() => {
    if (fire) say(`${progressOf(fire, elapsedMs())}, phase ${phases + 1}`);
  }, tellMs);
  try {
    fire = await Fire.start({ folder: folder.path, keepers });
    while (elapsedMs() < minutes * 60_000 && !isInterrupted) {
      await fire.phase(seed + phases, phaseMs);
      phases += 1;
      const isLast = elapsedMs() >= minutes * 60_000 || isInterrupted;
      if (isLast || phases % phasesBetweenRests === 0) await fire.rest();
    }
  } catch (error) {
    violation = String((error as Error).stack);
  } finally {
    clearInterval(teller);
    await fire?.stop();
  }
  const report = reportOf({ seed, phases, elapsedMs: elapsedMs(), fire, violation });
  say(tableOf(report));
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  if (violation === undefined) {
    await folder.remove();
    return 0;
  }
  say(
    `\n${fire?.lines.slice(-shownLines).join('\n') ?? ''}\n\nseed ${seed + phases} breaks a promise: ${violation}`,
  );
  say(`All of it is in ${folder.path}. It again: npm run fire -- --seed ${seed + phases} --minutes 1`);
  return 1;
}

function progressOf({ tally, faults }: Fire, elapsedMs: number): string {
  const befallen = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const counts = (['ok', 'refused', 'unknown', 'interrupted'] as const).map(
    (outcome) => `${tally.total(outcome)} ${outcome}`,
  );
  return `${Math.round(elapsedMs / 1_000)} s: ${counts.join(', ')}, ${befallen} faults`;
}

process.exitCode = await main();
