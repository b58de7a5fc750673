/** A scrub over a store that fails on demand: what it finds, what it does not condemn, and where it goes on. */
import { describe, expect, it } from '@jest/globals';
import { type HoldfastError, silentLogger } from '@holdfast/shared';
import { BadPieceLog } from '../../src/scrub/bad-piece-log.js';
import { PieceVerifier } from '../../src/scrub/piece-verifier.js';
import { Scrubber } from '../../src/scrub/scrubber.js';
import { Ballast } from '../../src/store/ballast.js';
import { StorageHealth } from '../../src/store/disk-error.js';
import type { DiskChunkStore } from '../../src/store/disk-chunk-store.js';
import { type PieceSpec, pieceName } from '../../src/store/piece.js';
import { bytesOf, until } from '../support/fixtures.js';
import { ForgetfulFileSystem, type Operation } from '../support/forgetful-file-system.js';
import { ManualClock } from '../support/manual-clock.js';
import { openStore, specOf, store } from '../support/store-fixture.js';

const periodMs = 1_000_000;
/** A round takes 80 % of it. */
const roundMs = 800_000;

class Bench {
  readonly files = new ForgetfulFileSystem();
  readonly clock = new ManualClock();
  readonly specs: PieceSpec[] = [];
  badPieces = new BadPieceLog();
  vanished = 0;
  chunks!: DiskChunkStore;
  scrubber!: Scrubber;

  /** With pieces spread over the shards, of the same size. */
  static async start(pieces: number): Promise<Bench> {
    const bench = new Bench();
    bench.chunks = await openStore(bench.files, '/data', { clock: bench.clock });
    for (let n = 0; n < pieces; n += 1) {
      const chunkId = Math.floor((n * 256) / pieces)
        .toString(16)
        .padStart(2, '0')
        .padEnd(32, '5');
      const data = bytesOf(20_000, n);
      const spec = specOf(data, { chunkId });
      await store(bench.chunks, spec, data);
      bench.specs.push(spec);
    }
    await bench.open();
    return bench;
  }

  /** As a start of the keeper does. */
  async open(): Promise<void> {
    this.chunks = await openStore(this.files, '/data', { clock: this.clock });
    this.badPieces = new BadPieceLog();
    const { chunks, badPieces, files, clock } = this;
    const verifier = new PieceVerifier({ store: chunks, badPieces, logger: silentLogger });
    this.scrubber = await Scrubber.open({
      ...{ store: chunks, verifier, badPieces, fileSystem: files, clock, dataDir: '/data' },
      health: new StorageHealth(),
      ballast: new Ballast(files, '/data'),
      logger: silentLogger,
      pace: { periodMs, share: 0.25, shareBesideClients: 0.05 },
      saveIntervalMs: 0,
      activeStreams: () => 0,
      onVanished: () => {
        this.vanished += 1;
      },
    });
    this.scrubber.start();
  }

  pathOf(n: number): string {
    const spec = this.specs[n]!;
    return `/data/chunks/${spec.chunkId.slice(0, 2)}/${pieceName(spec)}`;
  }

  /** Fails an operation on a piece with an errno, as often as told. */
  fail(operation: Operation, n: number, code: string, times = Infinity): void {
    let left = times;
    this.files.intercept = (called, path) => {
      if (called !== operation || path !== this.pathOf(n) || left <= 0) return;
      left -= 1;
      throw Object.assign(new Error(code), { code });
    };
  }

  quarantined(): string[] {
    return this.files.paths().filter((path) => path.startsWith('/data/quarantine/'));
  }

  /** Lets time pass, and the scrub do what it has to do meanwhile: it is done when it waits for time to pass. */
  async pass(durationMs: number): Promise<void> {
    const stepMs = 1_000;
    await until(() => this.clock.timers > 0);
    for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
      await this.clock.advance(Math.min(stepMs, durationMs - passedMs));
      await until(() => this.clock.timers > 0);
    }
  }

  async round(): Promise<void> {
    const { rounds } = this.scrubber.progress;
    for (let n = 0; this.scrubber.progress.rounds === rounds; n += 1) {
      await this.pass(roundMs / 100);
      expect(n).toBeLessThan(1_000);
    }
  }
}

describe('a round', () => {
  it('is spread over its time, counts what it read of what there is, and is followed by another', async () => {
    const bench = await Bench.start(8);
    await bench.pass(2_000);
    expect(bench.scrubber.progress).toMatchObject({ scannedPieces: 0, expectedPieces: 8, rounds: 0 });
    for (let eighth = 1; eighth < 8; eighth += 1) {
      await bench.pass(roundMs / 8);
      expect(bench.scrubber.progress).toMatchObject({ scannedPieces: eighth, expectedPieces: 8, rounds: 0 });
    }
    await bench.pass(roundMs / 8);
    expect(bench.scrubber.progress).toMatchObject({ scannedPieces: 0, expectedPieces: 8, rounds: 1 });
    const bytes = bench.scrubber.progress.expectedBytes;
    await bench.round();
    expect(bench.scrubber.progress).toMatchObject({ rounds: 2, expectedBytes: bytes, corruptPieces: 0 });
    await bench.scrubber.stop(true);
    expect(bench.files.openFiles).toBe(0);
  });

  it('goes on after a restart where it was; one that lost its place begins anew', async () => {
    const bench = await Bench.start(8);
    await bench.pass((roundMs / 8) * 5 + 2_000);
    const before = bench.scrubber.progress;
    expect(before.scannedPieces).toBe(5);
    await bench.scrubber.stop(true);
    const reads: string[] = [];
    bench.files.intercept = (operation, path) => {
      if (operation === 'read' && path.startsWith('/data/chunks')) reads.push(path);
    };
    await bench.open();
    expect(bench.scrubber.progress).toMatchObject({
      ...{ scannedPieces: 5, expectedPieces: 8, throughChunkId: before.throughChunkId },
      ...{ scannedBytes: before.scannedBytes, expectedBytes: before.expectedBytes },
    });
    await bench.round();
    expect(new Set(reads)).toEqual(new Set([5, 6, 7].map((n) => bench.pathOf(n))));
    await bench.scrubber.stop(false);
    bench.files.contentOf('/data/SCRUB')[20]! ^= 1;
    await bench.open();
    expect(bench.scrubber.progress).toMatchObject({ scannedPieces: 0, expectedPieces: 8, rounds: 0 });
    await bench.scrubber.stop(false);
  });

  it('has what was stored and trashed meanwhile in its count', async () => {
    const bench = await Bench.start(8);
    await bench.pass((roundMs / 8) * 2 + 2_000);
    await bench.chunks.trash([bench.specs[7]!.chunkId, bench.specs[0]!.chunkId]);
    expect(bench.scrubber.progress).toMatchObject({ scannedPieces: 2, expectedPieces: 7 });
    const data = bytesOf(50_000);
    await store(bench.chunks, specOf(data, { chunkId: 'f'.repeat(32) }), data);
    expect(bench.scrubber.progress).toMatchObject({ scannedPieces: 2, expectedPieces: 8 });
    await bench.round();
    expect([bench.vanished, bench.badPieces.next().length]).toEqual([0, 0]);
    await bench.scrubber.stop(false);
  });

  it('that a task asks for begins at once, at full pace, and is known to be done after a restart', async () => {
    const bench = await Bench.start(8);
    const [first, second] = ['a'.repeat(32), 'b'.repeat(32)];
    const { signal } = new AbortController();
    await bench.pass(roundMs / 2);
    const tasks = [bench.scrubber.runTask(first, signal), bench.scrubber.runTask(second, signal)];
    await Promise.all(tasks);
    expect(bench.scrubber.progress).toMatchObject({ rounds: 2, taskId: '', scannedPieces: 0 });
    await bench.scrubber.runTask(second, signal);
    await bench.scrubber.stop(true);
    await bench.open();
    await bench.scrubber.runTask(second, signal);
    expect(bench.scrubber.progress.rounds).toBe(2);
    await bench.scrubber.stop(false);
  });

  it('that a task asks for has failed where the storage cannot be written, as the next start forgets it', async () => {
    const bench = await Bench.start(4);
    bench.files.contentOf(bench.pathOf(2))[4_096 + 7]! ^= 1;
    bench.files.intercept = (called) => {
      if (called === 'rename') throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    const { signal } = new AbortController();
    const task = bench.scrubber.runTask('a'.repeat(32), signal);
    await expect(task).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(bench.badPieces.next()).toHaveLength(1);
    await bench.scrubber.stop(true);
    bench.files.intercept = () => undefined;
    await bench.open();
    expect(bench.badPieces.next()).toEqual([]);
    await bench.scrubber.stop(false);
  });
});

describe('a piece', () => {
  it('that is damaged is set aside and told of until that was answered, also after a restart', async () => {
    const bench = await Bench.start(4);
    bench.files.contentOf(bench.pathOf(2))[4_096 + 7]! ^= 1;
    await bench.round();
    expect(bench.quarantined()).toEqual([`/data/quarantine/${pieceName(bench.specs[2]!)}`]);
    await bench.scrubber.stop(false);
    await bench.open();
    const told = bench.badPieces.next();
    expect(told).toMatchObject([{ chunkId: bench.specs[2]!.chunkId, error: { code: 'CHECKSUM_MISMATCH' } }]);
    bench.badPieces.acknowledge(told);
    expect(bench.badPieces.next()).toEqual([]);
    expect(bench.scrubber.progress).toMatchObject({ expectedPieces: 3 });
    await bench.scrubber.stop(false);
  });

  it('is read from the medium, whatever the page cache has of it', async () => {
    const bench = await Bench.start(4);
    const opened: string[] = [];
    const open = bench.files.open.bind(bench.files);
    bench.files.open = (path, mode) => {
      if (path.startsWith('/data/chunks/')) opened.push(mode);
      return open(path, mode);
    };
    await bench.round();
    expect(opened).toEqual(['medium', 'medium', 'medium', 'medium']);
    await bench.scrubber.stop(false);
  });

  it('that is damaged at first and good when read again is good', async () => {
    const bench = await Bench.start(4);
    bench.fail('read', 1, 'EIO', 1);
    await bench.round();
    expect([bench.quarantined(), bench.badPieces.next()]).toEqual([[], []]);
    await bench.scrubber.stop(false);
  });

  it('that the disk cannot read is told of and stays, and counts again when it can be read', async () => {
    const bench = await Bench.start(4);
    bench.fail('read', 1, 'EIO');
    await bench.pass((roundMs / 4) * 3);
    expect(bench.scrubber.progress).toMatchObject({ corruptPieces: 0, unreadPieces: 1 });
    const told = bench.badPieces.next();
    expect(told).toMatchObject([{ error: { code: 'DISK_FAILED' } }]);
    bench.badPieces.acknowledge(told);
    expect(bench.badPieces.next()).toEqual([]);
    // Known to be no copy, also to the next start.
    await bench.scrubber.stop(true);
    await bench.open();
    expect(bench.badPieces.has(bench.specs[1]!)).toBe(true);
    expect(bench.badPieces.next()).toEqual([]);
    expect(bench.quarantined()).toEqual([]);
    expect(bench.files.paths()).toContain(bench.pathOf(1));
    bench.files.intercept = () => undefined;
    await bench.round();
    await bench.round();
    expect(bench.badPieces.has(bench.specs[1]!)).toBe(false);
    await bench.scrubber.stop(false);
  });

  it('that may not be read is not condemned, nor is one for which there are too many open files', async () => {
    const bench = await Bench.start(4);
    bench.fail('open', 1, 'EACCES');
    await bench.round();
    expect([bench.quarantined(), bench.badPieces.next()]).toEqual([[], []]);
    bench.fail('open', 2, 'EMFILE');
    await bench.pass(roundMs / 2 + 2_000);
    // It waits there for its turn.
    await bench.pass(roundMs * 2);
    expect(bench.scrubber.progress).toMatchObject({ rounds: 1, scannedPieces: 2, unreadPieces: 0 });
    bench.files.intercept = () => undefined;
    await bench.round();
    expect([bench.quarantined(), bench.badPieces.next()]).toEqual([[], []]);
    await bench.scrubber.stop(false);
  });

  it('that is damaged twice has both copies kept', async () => {
    const bench = await Bench.start(2);
    bench.files.contentOf(bench.pathOf(0))[4_096 + 7]! ^= 1;
    await bench.round();
    await store(bench.chunks, bench.specs[0]!, bytesOf(20_000, 0));
    bench.files.contentOf(bench.pathOf(0))[4_096 + 9]! ^= 1;
    // One that runs may have passed it before it was stored again.
    await bench.round();
    await bench.round();
    const name = pieceName(bench.specs[0]!);
    expect(bench.quarantined()).toEqual([`/data/quarantine/${name}`, `/data/quarantine/${name}.1`]);
    await bench.scrubber.stop(false);
  });

  it('that vanished is noticed, and its directory made anew', async () => {
    const bench = await Bench.start(4);
    await bench.files.unlink(bench.pathOf(3));
    await bench.round();
    expect(bench.vanished).toBe(1);
    await bench.round();
    expect(bench.vanished).toBe(1);
    expect(bench.scrubber.progress.expectedPieces).toBe(3);
    await bench.scrubber.stop(false);
  });

  it('counts for nothing while the storage is not there, and the scrub waits', async () => {
    const bench = await Bench.start(4);
    await bench.files.rename('/data', '/elsewhere');
    await bench.files.makeDirectory('/data');
    await expect(bench.chunks.capacity()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(bench.chunks.failure).toMatchObject({ code: 'UNAVAILABLE' } satisfies Partial<HoldfastError>);
    await bench.pass(roundMs * 3);
    expect(bench.scrubber.progress).toMatchObject({ rounds: 0, scannedPieces: 0 });
    await expect(bench.chunks.open(bench.specs[0]!)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await bench.files.rename('/elsewhere', '/data');
    await bench.chunks.capacity();
    expect(bench.chunks.failure).toBeUndefined();
    await bench.round();
    expect([bench.vanished, bench.badPieces.next()]).toEqual([0, []]);
    await bench.scrubber.stop(false);
  });
});
