/** A directory of many small files, up as a whole and down as a whole. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender } from '../contender.js';
import { command, missingPrograms } from '../machine/command.js';
import { seededBytes } from '../machine/files.js';
import type { Stage, Step, Trial } from '../run/stage.js';
import { can, needed } from './abilities.js';
import { standardReplicas } from './small.js';

const smallestBytes = 1024;
const largestBytes = 16 * 1024;
/** What the tree is made of. */
const seed = 7;

export function treeTrials(contenders: readonly Contender[]): Trial[] {
  return [...contenders.filter(can('trees')).map(contenderTrial), ...tools.map(toolTrial)];
}

interface Tree {
  readonly path: string;
  readonly step: (action: string, processes?: Step['processes']) => Step;
}

/** A tree that is the same in every run, and in the page cache. */
async function makeTree(
  stage: Stage,
  name: string,
  { files, directories } = stage.sizes.tree,
): Promise<Tree> {
  const path = join(stage.dataDir, name);
  const next = seededBytes(seed);
  const folders = Array.from({ length: directories }, (_, index) =>
    join(path, `${Math.floor(index / 20)}`, `${index}`),
  );
  for (const folder of folders) await mkdir(folder, { recursive: true });
  let bytes = 0;
  for (let index = 0; index < files; index += 1) {
    const lengthBytes = smallestBytes + (next(4).readUInt32BE() % (largestBytes - smallestBytes + 1));
    bytes += lengthBytes;
    await writeFile(join(folders[index % directories] ?? path, `${index}.bin`), next(lengthBytes));
  }
  const step: Tree['step'] = (action, processes = []) => ({
    case: { action, replicas: standardReplicas },
    ...{ unit: 'files/s', count: files, bytes, processes },
  });
  return { path, step };
}

async function checkTree(stage: Stage, tree: Tree, copy: string): Promise<void> {
  if (stage.verifies) {
    await command('diff', '-r', tree.path, copy);
    stage.checked('contents');
  }
  await rm(copy, { recursive: true });
}

function contenderTrial(contender: Contender): Trial {
  return {
    workload: 'trees',
    subject: contender.name,
    label: contender.name,
    async run(stage) {
      const running = await stage.start(contender, { replicas: standardReplicas, sync: true });
      const upload = needed(running, 'uploadTree');
      const download = needed(running, 'downloadTree');
      const cold = await makeTree(stage, 'warm-up', stage.sizes.warmUpTree);
      const back = join(stage.dataDir, 'back');
      await upload(cold.path, 'warm-up');
      await download('warm-up', back);
      await checkTree(stage, cold, back);
      const tree = await makeTree(stage, 'tree');
      const step = (action: string): Step => tree.step(action, running.processes());
      await stage.measure(step('up'), () => upload(tree.path, 'tree'));
      await stage.measure(step('down'), () => download('tree', back));
      await checkTree(stage, tree, back);
      if (running.uploadTreeSingly) {
        await stage.measure(step('up, one by one'), async () =>
          running.uploadTreeSingly?.(tree.path, 'singly'),
        );
        await stage.measure(step('down, one by one'), () => download('singly', back));
        await checkTree(stage, tree, back);
      }
    },
  };
}

/** Programs of the machine that know nothing of a cluster. */
interface Tool {
  readonly name: string;
  /** Makes the copy at `to`, which may be a file or a directory of its own. */
  readonly pack: (from: string, to: string) => Promise<unknown>;
  /** Makes the tree again in `to`, an empty directory. */
  readonly unpack: (copy: string, to: string) => Promise<unknown>;
}

const tools: readonly Tool[] = [
  {
    // One file instead of many: what packing costs where nothing has to be found again.
    name: 'tar',
    pack: (from, to) => command('tar', '-cf', to, '-C', from, '.'),
    unpack: (copy, to) => command('tar', '-xf', copy, '-C', to),
  },
  {
    name: 'rsync',
    pack: (from, to) => command('rsync', '-a', `${from}/`, to),
    unpack: (copy, to) => command('rsync', '-a', `${copy}/`, to),
  },
];

/** As many copies as a contender makes, side by side, and a sync at the end. */
function toolTrial({ name, pack, unpack }: Tool): Trial {
  return {
    workload: 'trees',
    subject: name,
    label: name,
    async run(stage) {
      if ((await missingPrograms([name])).length > 0) return;
      const tree = await makeTree(stage, 'tree');
      const copies = Array.from({ length: standardReplicas }, (_, index) =>
        join(stage.dataDir, `copy-${index}`),
      );
      await stage.measure(tree.step('up'), async () => {
        await Promise.all(copies.map((copy) => pack(tree.path, copy)));
        await command('sync', '-f', stage.dataDir);
      });
      const back = join(stage.dataDir, 'back');
      await mkdir(back);
      await stage.measure(tree.step('down'), async () => {
        await unpack(copies[0] ?? '', back);
        await command('sync', '-f', back);
      });
      await checkTree(stage, tree, back);
    },
  };
}
