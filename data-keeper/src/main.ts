/**
 * The program `data-keeper`: configuration, log, lock and life cycle around startDataKeeper. With `--json` it
 * prints one line on standard output when it is ready: keeperId, address (and boundAddress, if it advertises another
 * one), dataDir; with several disks those of the first, and in `others` those of the others.
 */
import {
  type ReadyFacts,
  announceStart,
  createLogger,
  formatAddress,
  jsonOf,
  loadConfig,
  loggingOptions,
  option,
  runProgram,
} from '@holdfast/shared/program';
import type { DataKeeper } from './composition.js';
import { type DataKeepers, startDataKeepers } from './several-keepers.js';
import { defaultSettings } from './settings.js';
import { softwareVersion } from './version.js';

const program = 'data-keeper';

const spec = {
  program,
  version: softwareVersion,
  describe: 'Keeps chunks on this machine, copies them to other keepers and serves them to clients.',
  options: {
    dataDir: option.paths({
      describe: 'Where the chunks are kept; an empty directory becomes a new keeper. Once for each disk',
      required: true,
      placeholder: 'DIR',
    }),
    addEmpty: option.flag({
      describe: 'Make new keepers of empty directories although others of this machine are in use',
      default: 'no',
    }),
    listen: option.listenAddress({
      describe:
        'Where clients and other keepers connect; port 0 takes any free one. Further disks take the ports after it',
      default: '127.0.0.1:7501',
    }),
    advertise: option.address({ describe: 'How others reach this keeper, if not by --listen' }),
    tracker: option.address({ describe: 'Where the master tracker is', default: '127.0.0.1:7400' }),
    zone: option.text({
      describe:
        'What fails together with this keeper, such as a rack; copies go to different zones. By default the disks of one start are one zone',
      placeholder: 'ZONE',
    }),
    capacity: option.size({ min: '64MiB' })({
      describe: 'The most that chunks may use, on each disk; by default all but a reserve of 5 % of it',
    }),
    json: option.flag({
      describe: 'Say on standard output, in one JSON line, when it is ready',
      default: 'no',
    }),
    ...loggingOptions,
  },
  examples: [
    [
      'data-keeper --data-dir /srv/holdfast --listen 10.0.0.5:7501 --tracker 10.0.0.1:7400',
      'a keeper of a cluster',
    ],
    [
      'data-keeper --data-dir ./keeper --listen 127.0.0.1:0 --capacity 10GiB',
      'a small one beside a local tracker',
    ],
    [
      'data-keeper --data-dir /mnt/a/keeper --data-dir /mnt/b/keeper --listen 10.0.0.5:7501 --tracker 10.0.0.1:7400',
      'two disks: two keepers, on ports 7501 and 7502',
    ],
  ],
} as const;

/** Longer than the grace that calls get when the keeper stops, so that the goodbye is still said. */
const stopLimitMs = defaultSettings.stopGraceMs + 5_000;

void runProgram({
  name: program,
  stopLimitMs,
  async start(context) {
    const config = loadConfig(spec);
    const logger = createLogger({ program, level: config.logLevel, json: jsonOf(config.logFormat) });
    context.useLogger(logger);
    const facts = ({ keeperId, address, boundAddress, dataDir }: DataKeeper): Record<string, string> => ({
      keeperId,
      address,
      ...(boundAddress !== address && { boundAddress }),
      dataDir,
    });
    const factsOfAll = ({ keepers: [first, ...others] }: DataKeepers): ReadyFacts => ({
      ...(first && facts(first)),
      ...(others.length > 0 && { others: others.map(facts) }),
    });
    return announceStart({ program, json: config.json, facts: factsOfAll }, () =>
      startDataKeepers({
        dataDirs: config.dataDir,
        addEmpty: config.addEmpty,
        listen: formatAddress(config.listen),
        tracker: formatAddress(config.tracker),
        logger,
        signal: context.signal,
        ...(config.advertise && { advertise: formatAddress(config.advertise) }),
        ...(config.zone !== undefined && { zone: config.zone }),
        ...(config.capacity !== undefined && { capacityBytes: config.capacity }),
      }),
    );
  },
});
