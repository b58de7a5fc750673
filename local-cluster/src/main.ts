/**
 * `local-cluster`, and so `npm start`: a tracker and some keepers as processes of this machine, a file stored
 * and read back, and everything stopped in order by Ctrl-C.
 */
import { HoldfastError } from '@holdfast/shared';
import { loadConfig, option, type ProgramContext, runProgram } from '@holdfast/shared/program';
import { mkdir } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { startProcessCluster, type UnexpectedExit } from './child-process.js';
import type { Cluster } from './cluster.js';
import { storeFirstFile } from './first-file.js';
import { version } from './version.js';

const options = {
  keepers: option.integer({ min: 1, max: 64 })({ describe: 'How many keepers to start', default: '3' }),
  dataDir: option.path({ describe: 'Where everything is kept', default: '.holdfast', placeholder: 'DIR' }),
  trackerPort: option.integer({ min: 0, max: 65_535 })({
    describe: "The tracker's port; 0 takes any free ones, for the keepers too",
    default: '7400',
    placeholder: 'P',
  }),
  keeperPort: option.integer({ min: 0, max: 65_535 })({
    describe: "The first keeper's port; the next ones follow (7501, unless the tracker's is 0)",
    placeholder: 'P',
  }),
  once: option.flag({ describe: 'Start, store a file, read it back, stop', default: 'false' }),
  json: option.flag({ describe: 'Print one JSON line when ready', default: 'false' }),
  verbose: option.flag({ describe: "Show the servers' logs", default: 'false' }),
};

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** As a person would type it from here. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === '' ? '.' : short;
}

function sayReady(cluster: Cluster, json: boolean): void {
  const keepers = cluster.keepers.map((keeper) => ({
    id: keeper.keeperId,
    address: keeper.address,
    pid: keeper.pid,
    dataDir: keeper.dataDir,
  }));
  if (json) {
    say(JSON.stringify({ tracker: cluster.trackerAddress, trackerPid: cluster.tracker.pid, keepers }));
    return;
  }
  say('Holdfast is running:');
  for (const member of [cluster.tracker, ...cluster.keepers]) {
    const columns = [
      member.name.padEnd(10),
      member.address.padEnd(16),
      `pid ${member.pid ?? '?'}`.padEnd(12),
    ];
    say(`  ${columns.join(' ')} ${shortPath(member.dataDir)}`);
  }
}

function sayHowToGoOn(cluster: Cluster): void {
  const flag = cluster.trackerAddress === '127.0.0.1:7400' ? '' : ` --tracker ${cluster.trackerAddress}`;
  say('Try, in another terminal:');
  say(`  npx client upload README.md /README.md${flag}`);
  say(`  npx client ls /${flag}`);
  say(`  npx client status${flag}`);
  say(`Ctrl-C stops it; the data stays in ${shortPath(cluster.dataDir)}.`);
}

function onUnexpectedExit({ command, pid, reason }: UnexpectedExit): void {
  const shown = command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' ');
  process.stderr.write(`Process ${pid} ended (${reason}). Start it again with:\n  node ${shown}\n`);
}

async function start(context: ProgramContext): Promise<{ stop(): Promise<void> } | number> {
  const config = loadConfig({
    program: 'local-cluster',
    version,
    describe: 'Runs a whole Holdfast cluster on this machine, each server a process of its own.',
    options,
    examples: [
      ['local-cluster', '3 keepers, data in ./.holdfast, until Ctrl-C'],
      ['local-cluster --once', 'the same, stopped after a file was stored and read back'],
      ['local-cluster --keepers 5 --tracker-port 0 --json', 'free ports, told as one line of JSON'],
    ],
  });
  const dataDir = resolve(config.dataDir);
  await mkdir(dataDir, { recursive: true });
  const cluster = await startProcessCluster({
    dataDir,
    keepers: config.keepers,
    trackerPort: config.trackerPort,
    firstKeeperPort: config.keeperPort ?? (config.trackerPort === 0 ? 0 : 7501),
    logs: config.verbose ? 'inherit' : 'ignore',
    onUnexpectedExit,
  });
  try {
    if (!config.json) sayReady(cluster, false);
    const file = await storeFirstFile(cluster);
    if (config.json) sayReady(cluster, true);
    else {
      say(
        `Stored ${file.path} (${file.sizeBytes} bytes, ${file.copies} of ${file.wanted} copies), read it back: identical.`,
      );
    }
    if (config.once || context.signal.aborted) {
      await cluster.stop();
      return 0;
    }
    if (!config.json) sayHowToGoOn(cluster);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw HoldfastError.is(error)
      ? error
      : new HoldfastError('INTERNAL', 'the cluster started but does not work', { cause: error });
  }
}

await runProgram({ name: 'local-cluster', start });
