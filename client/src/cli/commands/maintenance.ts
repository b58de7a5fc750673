/** `client maintenance`: announces that a keeper will be away for a while. */
import { HoldfastError } from '@holdfast/shared';
import { findKeeper } from '../../cluster/find-keeper.js';
import type { CommandSpec } from '../command.js';
import { flagValue } from '../flag-values.js';
import { shortId } from '../../cluster/find-keeper.js';
import { durationWords } from '../words.js';

export const maintenanceCommand: CommandSpec = {
  name: 'maintenance',
  synopsis: 'KEEPER',
  describe: 'Announce that a keeper will be away, so that nothing is copied for it',
  details:
    'KEEPER is an id, the beginning of one, or HOST:PORT. It takes no new pieces until it is started again; when the ' +
    'time is over and it is not back, it counts as lost.',
  options: {
    for: {
      type: 'string',
      requiresArg: true,
      describe: 'How long at most, such as 30m or 2h; a day at most',
    },
    end: { type: 'boolean', describe: 'The absence is over' },
  },
  examples: [
    ['maintenance 10.0.0.7:7500 --for 2h', 'before a machine is opened'],
    ['maintenance 10.0.0.7:7500 --end', 'when it is back for good'],
  ],
  minPaths: 1,
  maxPaths: 1,
  async run({ paths, flags, report, signal, connect }) {
    const { parseDuration } = await import('@holdfast/shared/values');
    const durationMs = flagValue(flags, 'for', parseDuration);
    if ((durationMs === undefined) !== flags.isSet('end') || durationMs === 0) {
      throw new HoldfastError('INVALID_ARGUMENT', 'maintenance: say either --for DURATION or --end');
    }
    const client = await connect();
    const { keeperId } = findKeeper((await client.status({ signal })).keepers, paths[0] ?? '');
    await client.setMaintenance(keeperId, Math.ceil(durationMs ?? 0), { signal });
    const words =
      durationMs === undefined
        ? `keeper ${shortId(keeperId)} is not waited for any longer than others`
        : `keeper ${shortId(keeperId)} may be away for ${durationWords(durationMs)}`;
    report.done(words, { keeperId, durationMs: durationMs ?? 0 });
    return 0;
  },
};
