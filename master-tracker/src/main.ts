/** The program `master-tracker`. */
import { limits, replicaPolicy } from '@holdfast/shared';
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
import { startMasterTracker } from './composition.js';
import { defaultSettings } from './settings.js';
import { softwareVersion } from './version.js';

const program = 'master-tracker';

/** Times are shown as they are typed. */
function typedMs(durationMs: number): string {
  if (durationMs % 3_600_000 === 0) return `${durationMs / 3_600_000}h`;
  return durationMs % 60_000 === 0 ? `${durationMs / 60_000}m` : `${durationMs / 1_000}s`;
}

const options = {
  dataDir: option.path({ describe: 'Where the metadata is kept', required: true, placeholder: 'DIR' }),
  listen: option.listenAddress({
    describe: 'Where to listen; port 0 takes any free one',
    default: '127.0.0.1:7400',
  }),
  replicas: option.integer({ min: 1, max: limits.maxPieces })({
    describe: 'How many copies an upload gets that asks for no number',
    default: String(defaultSettings.defaultPolicy.pieces),
  }),
  minWrite: option.integer({ min: 1, max: limits.maxPieces })({
    describe:
      'How many of them must be on stable storage before an upload is acknowledged (default: 2, or 1 of 1)',
  }),
  chunkSize: option.size({ min: '64KiB', max: '64MiB' })({
    describe: 'The chunk size of uploads that ask for none',
    default: `${defaultSettings.defaultChunkSizeBytes / 1024 / 1024}MiB`,
  }),
  heartbeatInterval: option.duration({ min: '50ms', max: '1m' })({
    describe: 'How often keepers send a heartbeat',
    default: typedMs(defaultSettings.heartbeatIntervalMs),
  }),
  suspectAfter: option.duration({ min: '100ms' })({
    describe: 'Silence after which a keeper gets no new pieces',
    default: typedMs(defaultSettings.suspectAfterMs),
  }),
  deadAfter: option.duration({ min: '200ms' })({
    describe: 'Silence after which the pieces of a keeper are copied elsewhere',
    default: typedMs(defaultSettings.deadAfterMs),
  }),
  maintenance: option.duration()({
    describe: 'How long a keeper that was stopped on purpose is waited for',
    default: typedMs(defaultSettings.maintenanceMs),
  }),
  uploadLease: option.duration({ min: '1s' })({
    describe: 'How long an upload lives when nothing of it is heard',
    default: typedMs(defaultSettings.uploadLeaseMs),
  }),
  maxUploadLease: option.duration({ min: '1s' })({
    describe: 'The longest that an upload may ask for, to be gone on with later',
    default: typedMs(defaultSettings.maxUploadLeaseMs),
  }),
  repairRate: option.size({ max: '1TiB' })({
    describe: 'How much a second repair may bring to each keeper; 0 for no limit',
    default: `${defaultSettings.repairRateBytesPerS / 1024 / 1024}MiB`,
  }),
  reclaimGrace: option.duration()({
    describe: 'How long versions that were given up stay readable for who reads them already',
    default: typedMs(defaultSettings.reclaimGraceMs),
  }),
  trashRetention: option.duration()({
    describe: 'How long deleted and replaced files can be restored; 0s: not at all',
    default: typedMs(defaultSettings.trashRetentionMs),
  }),
  json: option.flag({ describe: 'Announce the start as a line of JSON', default: 'false' }),
  ...loggingOptions,
};

await runProgram({
  name: program,
  async start(context) {
    const config = loadConfig({
      program,
      version: softwareVersion,
      describe: 'Knows every file of a Holdfast cluster and where its bytes are.',
      options,
      examples: [
        ['$0 --data-dir /var/lib/holdfast/tracker', 'a tracker for this machine, on port 7400'],
        [
          '$0 --data-dir ./tracker --listen 0.0.0.0:7400 --replicas 2',
          'for the network, two copies of each file',
        ],
      ],
      check: (values) => [
        ...((values.minWrite ?? 1) > values.replicas ? ['--min-write is more than --replicas'] : []),
        ...(values.heartbeatInterval * 2 > values.suspectAfter
          ? ['--suspect-after must be at least twice --heartbeat-interval']
          : []),
        ...(values.suspectAfter >= values.deadAfter
          ? ['--dead-after must be more than --suspect-after']
          : []),
      ],
    });
    const logger = createLogger({ program, level: config.logLevel, json: jsonOf(config.logFormat) });
    context.useLogger(logger);
    return announceStart(
      {
        program,
        json: config.json,
        facts: ({ address, clusterId, epoch }) => ({ address, clusterId, epoch, pid: process.pid }),
      },
      () =>
        startMasterTracker({
          dataDir: config.dataDir,
          listen: formatAddress(config.listen),
          logger,
          onFatal: () => context.requestStop('the metadata store failed', 1),
          settings: {
            defaultPolicy: replicaPolicy({
              pieces: config.replicas,
              ...(config.minWrite !== undefined && { minWrite: config.minWrite }),
            }),
            defaultChunkSizeBytes: config.chunkSize,
            heartbeatIntervalMs: config.heartbeatInterval,
            suspectAfterMs: config.suspectAfter,
            deadAfterMs: config.deadAfter,
            maintenanceMs: config.maintenance,
            uploadLeaseMs: config.uploadLease,
            maxUploadLeaseMs: config.maxUploadLease,
            repairRateBytesPerS: config.repairRate,
            reclaimGraceMs: config.reclaimGrace,
            trashRetentionMs: config.trashRetention,
          },
        }),
    );
  },
});
