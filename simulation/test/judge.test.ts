import { crc32 } from 'node:zlib';
import type { HoldfastClient } from '@holdfast/client';
import { describe, expect, it } from '@jest/globals';
import { damageOf, partsOf } from '../src/chunk-file.js';
import { Contest } from '../src/contest.js';
import type { Arena } from '../src/contender.js';
import { damageOn, leftoversOf } from '../src/disks.js';
import { judge } from '../src/judge.js';
import { Model } from '../src/model.js';
import { SimulatedCluster, type SimulatedKeeper, dataDir } from '../src/simulated-cluster.js';
import { Trace } from '../src/trace.js';
import { Watcher } from '../src/watcher.js';

/** Two chunks of a history's size. */
const bytes = Buffer.alloc(100_000, 'what was acknowledged');
/** Whatever is asked of a cluster that is well is done within this. */
const soonMs = 60_000;

describe('the judge', () => {
  let cluster: SimulatedCluster;
  let client: HoldfastClient;
  let judged: () => Promise<void>;

  beforeEach(async () => {
    cluster = new SimulatedCluster(1, 3, new Trace());
    await cluster.start();
    ({ client } = cluster.startClient('client-1'));
    const watching = cluster.startClient('watcher');
    const watcher = new Watcher(watching.client, watching.process);
    await cluster.time.finish('watching', watcher.start(console.error), soonMs);
    const model = new Model();
    await cluster.time.finish('storing', client.upload(bytes, '/a'), soonMs);
    model.is('/a', model.contentOf(bytes));
    const arena: Arena = { files: [], log: new Contest('/log', () => cluster.time.nowMs) };
    judged = () => judge(cluster, model, arena, watcher, soonMs);
  });
  afterEach(() => cluster.dispose());

  /** A piece of the file and the keeper that has it. */
  function somePiece(): { readonly keeper: SimulatedKeeper; readonly path: string } {
    const keeper = cluster.keepers[1]!;
    return { keeper, path: keeper.disk.files(`${dataDir}/chunks`)[0]! };
  }

  /** The same piece, if it were of another chunk. */
  function asOf(chunkId: string, piece: Buffer): Buffer {
    piece.write(chunkId, 40, 'hex');
    piece.writeUInt32BE(crc32(piece.subarray(0, 4_092)), 4_092);
    return piece;
  }

  async function putOnDisk({ disk }: SimulatedKeeper, path: string, content: Buffer): Promise<void> {
    const { process } = cluster.startClient('intruder');
    const put = async (): Promise<void> => {
      const file = await disk.viewOf(process).open(path, 'create');
      await file.write(content, 0);
      await file.close();
    };
    await cluster.time.finish('writing', put(), soonMs);
  }

  it('finds nothing in a cluster that is well', async () => {
    await judged();
    expect([...damageOn(cluster), ...leftoversOf(cluster)]).toEqual([]);
  });

  it('has damage found and mended that no reader has met', async () => {
    const { keeper, path } = somePiece();
    keeper.disk.flipBit(path);
    expect(damageOn(cluster)).toEqual([expect.stringContaining(`on ${keeper.name}`)]);
    await judged();
    expect(damageOn(cluster)).toEqual([]);
  });

  it('looks at every byte of a piece', () => {
    const { keeper, path } = somePiece();
    const whole = keeper.disk.contentOf(path);
    for (const { chunkId, digest } of cluster
      .query('SELECT chunk_id AS chunkId, digest FROM chunks')
      .filter((chunk) => path.includes(String(chunk['chunkId'])))) {
      const damage = (file: Buffer) => damageOf(file, String(chunkId), String(digest));
      expect(damage(whole)).toBeUndefined();
      expect(damageOf(whole, String(chunkId))).toBeUndefined();
      expect(damageOf(whole, String(chunkId), '0'.repeat(64))).toContain('its digest is');
      expect(damage(whole.subarray(0, -1))).toContain('bytes');
      expect(damage(whole.subarray(0, 100))).toContain('cut off');
      const { table } = partsOf(whole);
      // Of the header and the blocks some bytes of each, of the table and the footer all.
      for (let at = whole.length - 1; at >= 0; at -= at > table ? 1 : 997) {
        const file = Buffer.from(whole);
        file[at] = ~(file[at] ?? 0);
        expect(damage(file)).toBeDefined();
        expect(damageOf(file, String(chunkId))).toBeDefined();
      }
    }
  });

  it('does not believe a keeper that its pieces are whole', async () => {
    const { disk } = somePiece().keeper;
    const really = disk.contentOf.bind(disk);
    disk.contentOf = (path) =>
      path.includes('/chunks/') ? really(path).fill(1, 5_000, 5_001) : really(path);
    await expect(judged()).rejects.toThrow(/what counts is not whole: .*block 0 is damaged/);
  });

  it.each([
    [
      'what was never finished',
      (id: string) => `tmp/${id}.0.0123456789abcdef`,
      'tidying up does not come to an end: tmp/',
    ],
    [
      'a piece that does not count',
      (id: string) => `chunks/${id.slice(0, 2)}/${id}.0`,
      'the metadata does not know',
    ],
  ])('finds what is left over: %s', async (_, nameOf, why) => {
    const { keeper, path } = somePiece();
    const chunkId = `${/[0-9a-f]{32}/.exec(path)?.[0].slice(0, 2)}${'0'.repeat(30)}`;
    const other = cluster.keepers[0]!;
    const name = nameOf(chunkId);
    await putOnDisk(other, `${dataDir}/${name}`, asOf(chunkId, keeper.disk.contentOf(path)));
    expect(leftoversOf(cluster)).toEqual([`${name} on ${other.name}`]);
    await expect(judged()).rejects.toThrow(why);
  });

  it('finds what was given up and is still in the tables', async () => {
    await cluster.time.finish('removing', client.remove('/a'), soonMs);
    expect(leftoversOf(cluster)).toEqual(['1 versions in the trash']);
    await cluster.time.runUntil(() => false, 30_000);
    expect(leftoversOf(cluster)).toEqual(['1 retired versions']);
    await cluster.time.runUntil(() => false, 30_000);
    expect(leftoversOf(cluster)).toEqual([]);
  });

  it('finds a call that nobody ends', async () => {
    const { client: forgetful } = cluster.startClient('forgetful');
    void forgetful.watch('/')[Symbol.asyncIterator]().next();
    await expect(judged()).rejects.toThrow(
      'ending calls does not come to an end: forgetful to tracker: /holdfast.tracker.v1.NamespaceService/WatchEntries',
    );
  });

  it('finds it out when something is not whole in time', async () => {
    const [keeper] = cluster.keepers;
    keeper!.wanted = false;
    cluster.killKeeper(keeper!);
    await expect(judged()).rejects.toThrow('healing does not come to an end: a keeper does not start');
  });
});
