/** `client events`: what happened in the cluster, as a log. */
import { shortId } from '../../cluster/find-keeper.js';
import { maxEvents } from '../../cluster/inspect.js';
import type { ClusterEvent } from '../../ports/inspection.js';
import type { CommandSpec } from '../command.js';
import { flagValue, wholeNumber } from '../flag-values.js';
import { secondWords } from '../words.js';

export const eventsCommand: CommandSpec = {
  name: 'events',
  synopsis: '',
  describe: 'Show what happened in the cluster, the oldest first',
  details: 'Times are the tracker’s. With --json a line of JSON for each event.',
  options: {
    follow: { type: 'boolean', alias: 'f', describe: 'Go on with what happens, until Ctrl-C' },
    limit: {
      type: 'string',
      requiresArg: true,
      alias: 'n',
      describe: `How many of the latest events to show, 0 to ${maxEvents}`,
      defaultDescription: '100',
    },
  },
  examples: [
    ['events --limit 20', 'the last 20'],
    ['events --follow --json', 'for programs that watch'],
  ],
  minPaths: 0,
  maxPaths: 0,
  async run({ flags, report, signal, connect }) {
    const limit = flagValue(flags, 'limit', wholeNumber(0, maxEvents));
    const client = await connect();
    const follow = flags.isSet('follow');
    const events = client.events({ signal, follow, ...(limit !== undefined && { limit }) });
    for await (const event of events) report.result(line(event), event);
    return 0;
  },
};

/** The longest kind that there is. */
const kindWidth = 'metadata-regressed'.length;

function line({ atUnixMs, kind, subject, text }: ClusterEvent): string {
  return `${secondWords(atUnixMs)}  ${kind.padEnd(kindWidth)}  ${shortId(subject).padEnd(8)}  ${text}`;
}
