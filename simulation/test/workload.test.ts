import { HoldfastError, type HoldfastClient } from '@holdfast/client';
import { describe, expect, it } from '@jest/globals';
import { Model, absent } from '../src/model.js';
import { faultKinds } from '../src/nemesis.js';
import { losingFaults } from '../src/outcome.js';
import type { SeededRandom } from '../src/seeded-random.js';
import { SimulatedProcess } from '../src/simulated-process.js';
import { Trace } from '../src/trace.js';
import { VirtualTime } from '../src/virtual-time.js';
import { Workload } from '../src/workload.js';

/** Picks the first of everything, and what is done by this. */
const choosing = (roll: number) =>
  ({
    fraction: () => roll,
    chance: () => true,
    pick: <T>(from: readonly T[]) => from[0],
  }) as unknown as SeededRandom;
const restoring = 0.92;
const reading = 0.5;
const listing = 0.99;
const removing = 0.7;
const stored = Buffer.from('stored and deleted');

describe('a client of a history', () => {
  /** One step at `/client-1/a`, where `stored` was, of a client that answers with this. */
  async function step(
    roll: number,
    answers: Partial<Record<keyof HoldfastClient, unknown>>,
    {
      mayBeLost = false,
      before,
    }: { readonly mayBeLost?: boolean; readonly before?: (model: Model) => void } = {},
  ): Promise<Model> {
    const time = new VirtualTime();
    const model = new Model();
    model.is('/client-1/a', model.contentOf(stored));
    model.is('/client-1/a', absent);
    before?.(model);
    const workload = new Workload({
      ...{ name: 'client-1', model, trace: new Trace(), random: choosing(roll) },
      mayBeLost: () => mayBeLost,
      connect: () => ({
        client: answers as unknown as HoldfastClient,
        process: new SimulatedProcess('client-1', time),
      }),
    });
    let steps = 0;
    const isOver = (): boolean => steps++ > 0;
    await time.finish('the step', workload.run(isOver), 600_000);
    return model;
  }
  const bringing = (bytes: Buffer) =>
    async function* () {
      yield bytes;
    };
  const failing = (code: 'NOT_FOUND' | 'UNAVAILABLE' | 'DATA_LOSS' | 'INTERNAL') => () => {
    throw new HoldfastError(code, 'as the test says');
  };
  const restore = (): Promise<void> => Promise.resolve();
  const to = '/client-1/restored';

  it('has restored what was there', async () => {
    const model = await step(restoring, { restore, createReadStream: bringing(stored) });
    expect(model.known(to)).toBe(model.contentOf(stored));
  });

  it('finds it out when a restore brings back what never was there', async () => {
    const other = { restore, createReadStream: bringing(Buffer.from('of somebody else')) };
    await expect(step(restoring, other)).rejects.toThrow('has other bytes than were stored');
  });

  it('finds it out when an acknowledged restore has not restored', async () => {
    const gone = { restore, createReadStream: failing('NOT_FOUND') };
    await expect(step(restoring, gone)).rejects.toThrow('was acknowledged and is not there');
  });

  it('knows what may be there when it cannot be read', async () => {
    const model = await step(restoring, { restore, createReadStream: failing('UNAVAILABLE') });
    expect(model.allowed(to)).toEqual(new Set([model.contentOf(stored)]));
  });

  it('takes a refusal of a restore for one', async () => {
    const model = await step(restoring, { restore: failing('NOT_FOUND') });
    expect(model.known(to)).toBe(absent);
  });

  it('finds it out when what was acknowledged is not there to be removed, and only then', async () => {
    const gone = { remove: failing('NOT_FOUND') };
    const is = (model: Model): void => model.is('/client-1/a', model.contentOf(stored));
    await expect(step(removing, gone, { before: is })).rejects.toThrow('cannot be removed');
    // Of a process that was killed nobody knows what became of what it had begun.
    const maybe = (model: Model): void => model.maybe('/client-1/a', model.contentOf(stored));
    const model = await step(removing, gone, { before: maybe });
    expect(model.allowed('/client-1/a')).toEqual(new Set([absent, model.contentOf(stored)]));
  });

  it('finds it out when a read says that data is lost where nothing can be', async () => {
    const lost = { createReadStream: failing('DATA_LOSS') };
    await expect(step(reading, lost)).rejects.toThrow('reading /client-1/a ended with');
    await step(reading, lost, { mayBeLost: true });
    await expect(
      step(reading, { createReadStream: failing('INTERNAL') }, { mayBeLost: true }),
    ).rejects.toThrow('INTERNAL');
    await expect(step(listing, { list: failing('DATA_LOSS') }, { mayBeLost: true })).rejects.toThrow(
      'listing /client-1',
    );
  });
});

describe('faults after which data may be lost for a while', () => {
  it('are faults of a history', () => {
    expect(faultKinds).toEqual(expect.arrayContaining([...losingFaults]));
  });
});
