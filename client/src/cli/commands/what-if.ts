/** `client what-if`: what would be lost if keepers went. */
import { exitStatus } from '@holdfast/shared';
import { shortId } from '../../cluster/find-keeper.js';
import type { KeeperLossPreview } from '../../cluster/inspect.js';
import type { CommandSpec } from '../command.js';
import { sizeWords } from '../words.js';

export const whatIfCommand: CommandSpec = {
  name: 'what-if',
  synopsis: 'KEEPER…',
  describe: 'Say what would be lost or endangered if these keepers went now',
  details:
    'KEEPER is an id, the beginning of one, or an address. Changes nothing. Ends with status 7 if data would be lost, ' +
    'so that a script can ask before it stops machines.',
  options: {},
  examples: [
    ['what-if 1f6b02c9', 'one keeper'],
    ['what-if 10.0.0.7:7501 10.0.0.8:7501', 'two at once'],
  ],
  minPaths: 1,
  maxPaths: 1_000,
  async run({ paths, report, signal, connect }) {
    const preview = await (await connect()).previewKeeperLoss(paths, { signal });
    report.result(lines(preview, (path) => report.name(path)).join('\n'), preview);
    return preview.lostChunks > 0 ? exitStatus.dataLoss : 0;
  },
};

function lines(preview: KeeperLossPreview, name: (path: string) => string): string[] {
  const { keepers, lostFiles, lostPaths } = preview;
  const more = lostFiles - lostPaths.length;
  return [
    ...keepers.map(
      ({ keeperId, address, state }) => `without ${shortId(keeperId)} at ${address} (${state}):`,
    ),
    preview.summary,
    '',
    `  chunks lost         ${preview.lostChunks} (${sizeWords(preview.lostBytes)}, ${lostFiles} files)`,
    `  with one copy left  ${preview.endangeredChunks}`,
    `  below policy        ${preview.chunksBelowPolicy}`,
    `  to be copied        ${sizeWords(preview.bytesToCopy)}, and ${sizeWords(preview.roomBytes)} are free elsewhere`,
    `  uploads             ${preview.canWrite ? 'go on' : 'would be refused by the default policy'}`,
    ...(lostPaths.length > 0
      ? ['', 'Files that would be lost:', ...lostPaths.map((path) => `  ${name(path)}`)]
      : []),
    ...(lostPaths.length > 0 && more > 0 ? [`  and ${more} more`] : []),
  ];
}
