/** The steps of the protocol, each as something to do while one of the servers is about to be hit. */
import { readFile, writeFile } from 'node:fs/promises';
import { damageOfPiece } from '../../support/keeper-disk.js';
import { waitFor } from '../../support/wait.js';
import type { Victim, World } from './world.js';

/** What all steps have. */
interface AnyStep {
  readonly name: string;
  readonly victims: readonly Victim[];
  /** Not with one keeper on one disk: copies have to come from somewhere, and a server has to go on beside the victim. */
  readonly needsOthers?: boolean;
  /** In a cluster that keeps what was deleted, of which the other steps wait for the end. */
  readonly needsTrash?: boolean;
}

/** The start of a server, watched from its first call: on what the last start left, or in a new directory. */
export interface StartStep extends AnyStep {
  readonly directory: 'used' | 'new';
}

/** Something that a server does while it runs. */
export interface WorkStep extends AnyStep {
  /** It ends also when the victim has failed in it. */
  readonly endsByItself?: boolean;
  /** Gives what is done while the victim is watched, which resolves when the victim has had its part in it. */
  prepare(world: World, victim: Victim): Promise<() => Promise<void>>;
}

export type Step = StartStep | WorkStep;

/** Longer than a message: written to the disk as it arrives. */
const longBytes = 1024 ** 2 + 70_000;
/** Kept in memory until it is whole. */
const shortBytes = 70_000;
const both = ['keeper', 'tracker'] as const;

export const steps: readonly Step[] = [
  {
    name: 'upload',
    victims: both,
    prepare: async (world) => {
      const [path, bytes] = [world.path('upload'), world.bytes(longBytes)];
      return async () => {
        await world.ledger.upload(world.client, path, bytes);
        await world.untilStored(path);
      };
    },
  },
  {
    name: 'packed-upload',
    victims: both,
    prepare: async (world) => {
      const files = Array.from({ length: 5 }, (_, index) => ({
        path: world.path('packed'),
        bytes: world.bytes(1_000 + index),
      }));
      return async () => {
        await world.ledger.uploadMany(world.client, files);
        await world.untilStored(...files.map(({ path }) => path));
      };
    },
  },
  {
    name: 'overwrite',
    victims: both,
    prepare: async (world) => {
      const { path, chunks } = await world.store('overwrite', shortBytes);
      const bytes = world.bytes(shortBytes);
      return async () => {
        await world.ledger.upload(world.client, path, bytes);
        await world.untilStored(path);
        await world.untilTrashed(chunks);
      };
    },
  },
  {
    name: 'append',
    victims: both,
    prepare: async (world) => {
      const { path, bytes } = await world.store('append', shortBytes);
      const more = world.bytes(1_000);
      return async () => {
        await world.ledger.append(world.client, path, more, Buffer.concat([bytes, more]));
        await world.untilStored(path);
      };
    },
  },
  {
    name: 'move',
    victims: ['tracker'],
    prepare: async (world) => {
      const { path } = await world.store('move', shortBytes);
      const target = world.path('moved');
      return () => world.ledger.move(world.client, path, target);
    },
  },
  {
    name: 'copy',
    victims: ['tracker'],
    prepare: async (world) => {
      const { path } = await world.store('copy', shortBytes);
      const target = world.path('copied');
      return () => world.ledger.copy(world.client, path, target);
    },
  },
  {
    name: 'delete',
    victims: both,
    prepare: async (world) => {
      const { path, chunks } = await world.store('delete', shortBytes);
      return async () => {
        await world.ledger.remove(world.client, path);
        await world.untilTrashed(chunks);
      };
    },
  },
  {
    name: 'restore',
    victims: ['tracker'],
    needsTrash: true,
    prepare: async (world) => {
      const { path, bytes } = await world.store('restore', shortBytes);
      await world.ledger.remove(world.client, path);
      return () => world.ledger.change([[path, bytes]], () => world.client.restore(path));
    },
  },
  {
    name: 'make-directory',
    victims: ['tracker'],
    prepare: (world) => {
      const path = world.newDirectory('directory');
      return Promise.resolve(() => world.makeDirectory(path));
    },
  },
  {
    name: 'scrub-and-repair',
    victims: both,
    needsOthers: true,
    prepare: async (world) => {
      const { chunks } = await world.store('damaged', shortBytes);
      const [piece] = await world.onVictim(chunks);
      const file = await readFile(piece!.path);
      file[4_096 + 5] = file[4_096 + 5]! ^ 1;
      await writeFile(piece!.path, file);
      return async () => {
        const { keeperId } = world.member('keeper');
        // One whose disk fails meanwhile says so, and is asked again.
        await waitFor(
          'a scrub that ends well',
          async () => (await world.client.waitForJob(await world.client.scrub([keeperId]))).state === 'done',
          180_000,
        );
        await waitFor(
          'the damaged piece to be whole again',
          async () => {
            const [mended] = await world.onVictim(chunks);
            return mended !== undefined && (await damageOfPiece(mended)) === undefined;
          },
          180_000,
        );
      };
    },
  },
  {
    name: 'drain',
    victims: both,
    needsOthers: true,
    prepare: async (world) => {
      const { keeperId } = world.member('keeper');
      const chunks: string[] = [];
      while (chunks.length === 0) {
        // Two of three keepers have it: until the first one is among them.
        const stored = await world.store('drained', shortBytes, { replicas: 2 });
        if ((await world.onVictim(stored.chunks)).length > 0) chunks.push(...stored.chunks);
      }
      return async () => {
        const jobId = await world.client.drainKeeper(keeperId);
        await world.untilTrashed(chunks);
        await world.client.cancelJob(jobId);
      };
    },
  },
  {
    name: 'new-epoch',
    victims: ['keeper'],
    needsOthers: true,
    prepare: async (world, victim) => {
      const { keeperId } = world.member(victim);
      const { tracker } = world.cluster;
      return async () => {
        await tracker.restart();
        await waitFor('the keeper to be known again', async () => {
          const { keepers } = await world.client.status();
          const keeper = keepers.find((each) => each.keeperId === keeperId);
          return keeper?.state === 'live' && keeper.reported;
        });
      };
    },
  },
  {
    name: 'stop',
    victims: both,
    endsByItself: true,
    prepare: async (world, victim) => {
      // The tracker then has something to write down.
      await world.store('stop', shortBytes);
      return () => world.member(victim).stop();
    },
  },
  { name: 'start', victims: both, directory: 'used' },
  { name: 'first-start', victims: both, directory: 'new' },
];
