/** The full report against a file system that fails: what it may leave out, and what it must not. */
import { describe, expect, it } from '@jest/globals';
import { newId, silentLogger } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { BadPieceLog } from '../../src/scrub/bad-piece-log.js';
import { PieceVerifier } from '../../src/scrub/piece-verifier.js';
import { sendFullReport } from '../../src/tracker/full-report.js';
import type { ChunkStore } from '../../src/store/chunk-store.js';
import type { ReportPage, TrackerLink } from '../../src/tracker/tracker-link.js';
import { bytesOf } from '../support/fixtures.js';
import { ForgetfulFileSystem } from '../support/forgetful-file-system.js';
import { openStore, specOf, store } from '../support/store-fixture.js';

const data = bytesOf(5_000);

async function report(
  chunks: ChunkStore,
  pieces: number,
  onPage: (page: ReportPage) => void = () => undefined,
): Promise<() => Promise<ReportPage[]>> {
  for (let n = 0; n < pieces; n += 1) await store(chunks, specOf(data), data);
  const pages: ReportPage[] = [];
  const link: Pick<TrackerLink, 'reportPieces'> = {
    reportPieces: (page) => {
      pages.push(page);
      onPage(page);
      const [clusterId, instanceId] = [newId(systemRandom), newId(systemRandom)];
      return Promise.resolve({ clusterId, epoch: 1, instanceId, transactionId: 1, uptimeMs: 1 });
    },
  };
  const verifier = new PieceVerifier({ store: chunks, badPieces: new BadPieceLog(), logger: silentLogger });
  const start = { keeperId: newId(systemRandom), storageId: newId(systemRandom), incarnation: 1 };
  return async () => {
    await sendFullReport(
      {
        ...{ store: chunks, link: link as TrackerLink, random: systemRandom, logger: silentLogger, start },
        admit: () => Promise.resolve(),
        wantedReport: '',
        isBad: () => false,
        condemn: (key, error) => verifier.condemn(key, error),
      },
      { deadlineMs: 1_000 },
    );
    return pages;
  };
}

describe('a full report', () => {
  it('has every piece, in order of chunk id', async () => {
    const files = new ForgetfulFileSystem();
    const pages = await (await report(await openStore(files, '/data'), 20))();
    const ids = pages.flatMap(({ pieces }) => pieces.map(({ chunkId }) => chunkId));
    expect(ids).toHaveLength(20);
    expect(ids).toEqual([...ids].sort());
  });

  it('is announced before anything is listed', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const said: string[] = [];
    const listing = chunks.list.bind(chunks);
    chunks.list = () => {
      said.push('lists');
      return listing();
    };
    await (
      await report(chunks, 3, ({ page, pieces, last }) => said.push(`${page}: ${pieces.length} ${last}`))
    )();
    expect(said).toEqual(['0: 0 false', 'lists', '1: 3 true']);
  });

  it('leaves out a piece that cannot be read', async () => {
    const files = new ForgetfulFileSystem();
    const send = await report(await openStore(files, '/data'), 3);
    files.failAt('open', 1, 'EIO');
    expect((await send()).flatMap(({ pieces }) => pieces)).toHaveLength(2);
  });

  it.each([
    ['there are too many open files', 'EMFILE', 'LIMIT_EXCEEDED'],
    ['one of them may not be read', 'EACCES', 'PERMISSION_DENIED'],
  ])('fails, rather than let good pieces count as lost, when %s', async (_why, errno, code) => {
    const files = new ForgetfulFileSystem();
    const send = await report(await openStore(files, '/data'), 3);
    files.failAt('open', 2, errno);
    await expect(send()).rejects.toMatchObject({ code });
  });
});
