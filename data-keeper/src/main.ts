/**
 * The program `data-keeper`: configuration, log, lock and life cycle around startDataKeeper. With `--json` it
 * prints one line on standard output when it is ready: keeperId, address, dataDir.
 */
import {
  announceStart,
  createLogger,
  formatAddress,
  jsonOf,
  loadConfig,
  loggingOptions,
  option,
  runProgram,
} from '@holdfast/shared/program';
import { type DataKeeper, startDataKeeper } from './composition.js';
import { defaultSettings } from './settings.js';
import { softwareVersion } from './version.js';

const program = 'data-keeper';

const spec = {
  program,
  version: softwareVersion,
  describe: 'Keeps chunks on this machine, copies them to other keepers and serves them to clients.',
  options: {
    dataDir: option.path({
      describe: 'Where the chunks are kept; an empty directory becomes a new keeper',
      required: true,
      placeholder: 'DIR',
    }),
    listen: option.listenAddress({
      describe: 'Where clients and other keepers connect; port 0 takes any free one',
      default: '127.0.0.1:7501',
    }),
    advertise: option.address({ describe: 'How others reach this keeper, if not by --listen' }),
    tracker: option.address({ describe: 'Where the master tracker is', default: '127.0.0.1:7400' }),
    zone: option.text({
      describe: 'What fails together with this keeper, such as a rack; copies go to different zones',
      placeholder: 'ZONE',
    }),
    capacity: option.size({ min: '64MiB' })({
      describe: 'The most that chunks may use; by default all but a reserve of 5 % of the disk',
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
    const facts = ({ keeperId, address, dataDir }: DataKeeper): Record<string, string> => ({
      keeperId,
      address,
      dataDir,
    });
    return announceStart({ program, json: config.json, facts }, () =>
      startDataKeeper({
        dataDir: config.dataDir,
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
