/** `client fsck`: what it shows of a check, and the status that scripts go by. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { HoldfastError } from '@holdfast/shared';
import { HoldfastClient } from '../src/client.js';
import type { JobFinding } from '../src/ports/jobs.js';
import { FakeCluster, runningJob } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

const text = 'checked 10 of 10 chunks; not checked: the bytes of the pieces';
const done = { ...runningJob, state: 'done' as const, done: 10, text };
const finding = (invariant: string, subject = 'x'): JobFinding => ({ invariant, subject, text: 'is wrong' });
const found = (...findings: JobFinding[]) => ({ ...done, findings, findingsTotal: findings.length });

describe('fsck', () => {
  it('waits for the end of the check, and says how much was looked at', async () => {
    cluster.jobs = [runningJob, { ...runningJob, done: 5 }, done];
    const { status, stdout, stderr } = await cli(cluster, ['fsck']);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `nothing found; ${text}\n`, stderr: '' });
    expect(cluster.called('checkCluster')).toBe(1);
    expect(cluster.called('getJob')).toBe(3);
  });

  it.each<[string, number]>([
    ['S1', 7],
    ['S2', 7],
    ['S3', 7],
    ['S4', 7],
    ['S5', 7],
    ['S6', 1],
    ['S9', 1],
    ['S10', 1],
    ['repair', 1],
    ['counts', 1],
    ['S99', 1],
  ])('a finding about %s ends with %i', async (invariant, expected) => {
    cluster.jobs = [found(finding('repair'), finding(invariant))];
    expect((await cli(cluster, ['fsck'])).status).toBe(expected);
  });

  it('shows what was found by what it means, the worst first', async () => {
    cluster.jobs = [
      {
        ...found(finding('S77', 'odd'), finding('repair', ''), finding('S1', '/a'), finding('S1', '/b')),
        findingsTotal: 9,
      },
    ];
    const { stdout } = await cli(cluster, ['fsck']);
    expect(stdout.split('\n')).toEqual([
      'S1, bytes that are lost or out of reach:',
      '  /a: is wrong',
      '  /b: is wrong',
      '',
      'repair, copies that are missing:',
      '  is wrong',
      '',
      'S77:',
      '  odd: is wrong',
      '',
      '… and 5 more',
      '',
      `9 findings; ${text}`,
      '',
    ]);
  });

  it.each(['cancelled', 'failed', 'unknown'] as const)(
    'a check that is %s found nothing out',
    async (state) => {
      cluster.jobs = [{ ...done, state }];
      const { status, stdout } = await cli(cluster, ['fsck']);
      expect(status).toBe(1);
      expect(stdout).toContain(`${state} before its end; nothing found`);
    },
  );

  it('is one document with --json', async () => {
    cluster.jobs = [found(finding('S1'))];
    const { status, documents } = await cli(cluster, ['fsck', '--json']);
    expect(status).toBe(7);
    expect(documents).toEqual([cluster.jobs[0]]);
  });

  it('rides out a tracker that restarts, with one check', async () => {
    cluster.jobs = [runningJob, done];
    const failing = new Set(['checkCluster', 'getJob']);
    const ids = new Set<unknown>();
    cluster.before = (name, request) => {
      if (name === 'checkCluster') ids.add((request as { requestId: string }).requestId);
      if (failing.delete(name)) throw new HoldfastError('UNAVAILABLE', 'starting');
    };
    const client = new HoldfastClient(cluster.context(), () => undefined);
    const seen: string[] = [];
    expect(await client.check({ onProgress: (job) => seen.push(job.text) })).toEqual(done);
    expect(seen).toEqual([runningJob.text, done.text]);
    expect(ids.size).toBe(1);
  });

  it('that is given up ends the waiting', async () => {
    cluster.jobs = [runningJob];
    const { status, stderr } = await cli(cluster, ['fsck', '--timeout', '80ms']);
    expect(status).toBe(5);
    expect(stderr).toMatch(/not done within 80ms/);
  });

  it.each<[string, (keeper: { keeperId: string; address: string }) => string]>([
    ['its id', ({ keeperId }) => keeperId],
    ['the beginning of its id', ({ keeperId }) => keeperId.slice(0, 8)],
    ['its address', ({ address }) => address],
  ])("gives the operator's word for unknown pieces, to a keeper named by %s", async (_, nameOf) => {
    const keeper = cluster.keeper(1);
    let asked: unknown;
    cluster.before = (name, request) => {
      if (name === 'trashUnknownPieces') asked = request;
    };
    const accepted = await cli(cluster, ['fsck', '--accept-unknown', nameOf(keeper)]);
    expect(accepted).toMatchObject({
      status: 0,
      stdout: `12 pieces to the trash of keeper 11111111 at ${keeper.address}; 3 stay until another report has named them\n`,
    });
    expect(asked).toMatchObject({ keeperId: keeper.keeperId });
  });

  it('gives it to no other keeper', async () => {
    expect((await cli(cluster, ['fsck', '--accept-unknown', '9'.repeat(32)])).status).toBe(3);
    expect(cluster.calls).not.toContain('trashUnknownPieces');
  });

  it('takes no paths', async () => {
    expect(await cli(cluster, ['fsck', '/x'])).toMatchObject({ status: 2, stdout: '' });
    expect(cluster.calls).toEqual([]);
  });
});
