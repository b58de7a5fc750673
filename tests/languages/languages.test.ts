/**
 * Clients of other languages, made from the .proto files alone (examples/python, examples/go), beside our own: what
 * one stores the others read, whatever the size and the name, with keepers that die and keepers that lie.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';
import { type Outcome, type Prepared, outcomeOf, prepareGo, preparePython } from '../support/languages.js';
import { type Lie, LyingPeers, liarId } from '../support/lying-peers.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const block = 64 * 1024;
const chunk = 2 * block;
/** A name for each size, so that awkward ones go together. */
const files = [
  { size: 0, name: 'nothing at all' },
  { size: 1, name: 'ein Ümlaut' },
  { size: block - 1, name: '🙂' },
  { size: block + 1, name: "it's $HOME; `*`" },
  { size: chunk + 1, name: '日本 語.txt' },
  { size: 3 * chunk - 1, name: '-n' },
] as const;

/** The same flags in each language, but for how many dashes they have. */
const languages: readonly { name: string; dash: string; prepared: Prepared }[] = [
  { name: 'Python', dash: '--', prepared: await preparePython('client.py') },
  { name: 'Go', dash: '-', prepared: await prepareGo() },
];

const titleOf = (name: string, { missing }: Prepared): string =>
  missing === undefined ? `${name} (HOLDFAST_SEED=${seed})` : `${name}, skipped: ${missing}`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

for (const { name: language, dash, prepared } of languages) {
  (prepared.missing === undefined ? describe : describe.skip)(titleOf(language, prepared), () => {
    const run = (tracker: string, ...words: string[]): Promise<Outcome> =>
      outcomeOf([
        ...(prepared.missing === undefined ? prepared.command : []),
        `${dash}tracker`,
        tracker,
        ...words,
      ]);

    describe.each([1, 2, 3])('with %d copies', (replicas) => {
      let cluster: Cluster;
      let client: HoldfastClient;
      beforeAll(async () => {
        cluster = await startCluster({ keepers: 3 });
        client = await cluster.connect();
      });
      afterAll(() => cluster.stop());

      const bytesOf = (size: number): Buffer => seededBytes(seed + size, size);
      const upload = async (path: string, bytes: Buffer): Promise<void> => {
        const local = join(folder.path, 'up');
        await writeFile(local, bytes);
        const flags = [`${dash}replicas`, String(replicas), `${dash}chunk-size`, String(chunk)];
        const done = await run(cluster.trackerAddress, 'upload', ...flags, local, path);
        expect(done).toMatchObject({ status: 0 });
      };
      const download = async (path: string): Promise<{ bytes: Buffer; stderr: string }> => {
        const local = join(folder.path, 'down');
        const { status, stderr } = await run(cluster.trackerAddress, 'download', path, local);
        expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
        return { bytes: await readFile(local), stderr };
      };

      it('reads what Node stored, and Node what it stored', async () => {
        for (const { size, name } of files) {
          const bytes = bytesOf(size);
          const options = { replicas, minWrite: replicas, chunkSizeBytes: chunk, createParents: true };
          await client.upload(bytes, `/node/${name}`, options);
          expect((await download(`/node/${name}`)).bytes.equals(bytes)).toBe(true);
          await upload(`/theirs/${name}`, bytes);
          expect((await readAll(client.createReadStream(`/theirs/${name}`))).equals(bytes)).toBe(true);
        }
        const { stdout } = await run(cluster.trackerAddress, 'list', '/theirs');
        for (const { size, name } of files) expect(stdout).toMatch(`${size}  /theirs/${name}\n`);
      });

      it('says what went wrong by its code, and leaves nothing behind', async () => {
        const before = await readdir(folder.path);
        const missing = await run(cluster.trackerAddress, 'download', '/nope', join(folder.path, 'nope'));
        expect(missing).toMatchObject({ status: 1, stderr: expect.stringContaining('NOT_FOUND') as unknown });
        await writeFile(join(folder.path, 'up'), 'other bytes');
        const there = await run(
          cluster.trackerAddress,
          'upload',
          join(folder.path, 'up'),
          `/node/${files[1].name}`,
        );
        expect(there).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('ALREADY_EXISTS') as unknown,
        });
        expect(await readdir(folder.path)).toEqual(before);
      });

      // One copy is gone with its keeper.
      if (replicas > 1)
        it('goes on when a keeper is killed', async () => {
          const { size } = files[5];
          await upload('/before', bytesOf(size));
          // The tracker takes it for live a while longer, and gives it to readers and writers.
          await cluster.keepers[0]!.kill();
          for (const { name } of files) {
            expect((await download(`/node/${name}`)).bytes.length).toBe(
              files.find((file) => file.name === name)!.size,
            );
          }
          expect((await download('/before')).bytes.equals(bytesOf(size))).toBe(true);
          await upload('/after', bytesOf(size));
          expect((await readAll(client.createReadStream('/after'))).equals(bytesOf(size))).toBe(true);
        });
    });

    const data = seededBytes(seed, 3 * block + 5);
    const lies: readonly { lie: Lie; reported: string | undefined }[] = [
      { lie: 'wrong-byte', reported: 'ERROR_CODE_CHECKSUM_MISMATCH' },
      { lie: 'wrong-byte-and-checksum', reported: 'ERROR_CODE_CHECKSUM_MISMATCH' },
      { lie: 'another-piece', reported: 'ERROR_CODE_CHECKSUM_MISMATCH' },
      { lie: 'not-found', reported: 'ERROR_CODE_NOT_FOUND' },
      { lie: 'silence', reported: undefined },
      { lie: 'cut-short', reported: undefined },
      { lie: 'out-of-order', reported: undefined },
      { lie: 'dead-in-the-middle', reported: undefined },
    ];
    it.each(lies)('goes on to another keeper after $lie', async ({ lie, reported }) => {
      const peers = await LyingPeers.start(data, lie);
      try {
        const local = join(folder.path, `lie-${lie}`);
        expect(await run(peers.trackerAddress, 'download', '/file', local)).toMatchObject({ status: 0 });
        expect((await readFile(local)).equals(data)).toBe(true);
        const expected = reported === undefined ? [] : [{ keeperId: liarId, code: reported }];
        // Where the honest one is late, the liar is asked again, and reported again.
        const reports = new Set(peers.reports.map((each) => JSON.stringify(each)));
        expect([...reports].map((each) => JSON.parse(each) as unknown)).toEqual(expected);
      } finally {
        peers.stop();
      }
    });

    it('asks again with the same request id when an answer is lost', async () => {
      const peers = await LyingPeers.start(data, 'silence');
      try {
        await writeFile(join(folder.path, 'empty'), '');
        const done = await run(peers.trackerAddress, 'upload', join(folder.path, 'empty'), '/empty');
        expect(done).toMatchObject({ status: 0 });
        const idsOf = (call: string): string[] =>
          peers.requestIds.filter((each) => each.call === call).map(({ id }) => id);
        const [begins, commits] = [idsOf('begin'), idsOf('commit')];
        // Twice; or more often, where an answer is late.
        for (const ids of [begins, commits]) {
          expect(ids.length).toBeGreaterThanOrEqual(2);
          expect(new Set(ids).size).toBe(1);
        }
        expect(begins[0]).not.toBe(commits[0]);
      } finally {
        peers.stop();
      }
    });
  });
}

const reflect = await preparePython('reflect.py');
(reflect.missing === undefined ? it : it.skip)(
  titleOf('reflection is enough to call a server', reflect),
  async () => {
    const cluster = await startCluster({ keepers: 2 });
    try {
      const ask = (...words: string[]): Promise<Outcome> =>
        outcomeOf([...(reflect.missing === undefined ? reflect.command : []), ...words]);
      const keeper = await ask(cluster.keepers[0]!.address);
      const { status, stderr } = keeper;
      expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
      expect(keeper.stdout.split('\n')).toEqual(
        expect.arrayContaining(['grpc.health.v1.Health', 'holdfast.keeper.v1.ChunkService']),
      );
      const client = await cluster.connect();
      await client.upload(Buffer.from('hello'), '/hello');
      const method = 'holdfast.tracker.v1.NamespaceService/GetEntry';
      const { stdout } = await ask(cluster.trackerAddress, method, '{"path": "/hello"}');
      expect(JSON.parse(stdout)).toMatchObject({
        entry: { path: '/hello', type: 'ENTRY_TYPE_FILE', sizeBytes: '5' },
      });
    } finally {
      await cluster.stop();
    }
  },
);
