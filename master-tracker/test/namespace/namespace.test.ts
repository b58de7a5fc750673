import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, failure, id, names } from '../support/fixture.js';

describe('the namespace', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  const namespace = () => tracker.core.namespace;
  const mkdir = (path: string, parents = false) => namespace().createDirectory(names(path), parents, id());
  const list = async (path: string, pageSize = 1_000): Promise<string[]> => {
    const found: string[] = [];
    for (let after: string | undefined = ''; after !== undefined;) {
      const page = await namespace().listEntries(names(path), pageSize, after);
      found.push(...page.entries.map((entry) => entry.path));
      after = page.nextAfterName;
    }
    return found;
  };

  it('has a root that is always there and holds nothing at first', async () => {
    expect(await namespace().getEntry([])).toMatchObject({ path: '/', type: 'directory', version: 0 });
    expect(await list('/')).toEqual([]);
  });

  it('lists names in byte order, page by page, exactly as they were given', async () => {
    const given = ['é', 'e\u0301', 'a\nb', '😀', '\uffff', 'Z', 'a', 'x'.repeat(255), ' ', '%00'];
    for (const name of given) await mkdir(`/${name}`);
    const inByteOrder = [...given].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await list('/', 3)).toEqual(inByteOrder.map((name) => `/${name}`));
  });

  it('makes parents only when asked, and is then content with what exists', async () => {
    await failure('NOT_FOUND', mkdir('/a/b/c'));
    await mkdir('/a/b/c', true);
    await mkdir('/a/b/c', true);
    await failure('ALREADY_EXISTS', mkdir('/a/b'));
    await tracker.put('/a/file');
    await failure('NOT_A_DIRECTORY', mkdir('/a/file/x', true));
    await failure('ALREADY_EXISTS', mkdir('/a/file', true));
    expect(tracker.store.counters).toMatchObject({ directories: 3, files: 1 });
  });

  it('describes a file with its policy, attributes and durability', async () => {
    await tracker.put('/file', { count: 2, on: tracker.keepers.slice(0, 2) });
    expect(await namespace().getEntry(['file'])).toMatchObject({
      type: 'file',
      sizeBytes: 200,
      policy: { pieces: 3, minWrite: 2 },
      durability: { chunks: 2, fewestPieces: 2, policyPieces: 3, chunksBelowPolicy: 2 },
    });
  });

  it('moves a directory with all that is below it', async () => {
    await tracker.put('/a/b/file');
    await mkdir('/c');
    await namespace().moveEntry(['a'], ['c', 'a2'], undefined, id());
    expect(await list('/c/a2/b')).toEqual(['/c/a2/b/file']);
    await failure('NOT_FOUND', namespace().getEntry(['a']));
  });

  it('copies a file as a new version over the same chunks, and counts them once', async () => {
    const { version, chunkIds } = await tracker.put('/a', { count: 2 });
    await mkdir('/dir');
    const copied = await namespace().copyEntry(['a'], ['dir', 'b'], 0, id());
    const {
      path: _path,
      version: _version,
      durability: _durability,
      createdAtUnixMs: _made,
      ...same
    } = await namespace().getEntry(['a']);
    expect(copied).toMatchObject({ path: '/dir/b', ...same });
    expect(copied.version).toBeGreaterThan(version);
    const page = await tracker.core.locations.locate({
      ...{ target: { version: copied.version }, offset: 0, lengthBytes: 0, pageSize: 10 },
    });
    expect(page.extents.map(({ chunkId }) => chunkId)).toEqual(chunkIds);
    expect(tracker.store.counters).toMatchObject({ files: 2, chunks: 2, logical_bytes: 400 });
  });

  it('replaces by a copy only what it may', async () => {
    const { version } = await tracker.put('/old');
    await tracker.put('/new');
    await mkdir('/empty');
    const copy = (from: string, to: string, expected?: number) =>
      namespace().copyEntry(names(from), names(to), expected, id());
    await failure('IS_A_DIRECTORY', copy('/empty', '/x'));
    await failure('IS_A_DIRECTORY', copy('/new', '/empty'));
    await failure('IS_A_DIRECTORY', (async () => copy('/new', '/'))());
    await failure('ALREADY_EXISTS', copy('/new', '/old', 0));
    await failure('VERSION_CONFLICT', copy('/new', '/old', version + 100));
    await failure('VERSION_CONFLICT', copy('/new', '/nothing', version));
    await failure('NOT_FOUND', copy('/nothing', '/x'));
    await failure('NOT_FOUND', copy('/new', '/no/parent'));
    await failure('NOT_A_DIRECTORY', copy('/new', '/old/x'));
    expect(tracker.store.counters).toMatchObject({ files: 2, trashed_versions: 0 });
    const request = id();
    const copied = await namespace().copyEntry(['new'], ['old'], version, request);
    expect(await namespace().copyEntry(['new'], ['old'], version, request)).toEqual(copied);
    expect(tracker.store.counters).toMatchObject({ files: 2, trashed_versions: 1 });
  });

  it('replaces by a move only what it may', async () => {
    const { version } = await tracker.put('/old');
    await tracker.put('/new');
    await tracker.put('/full/file');
    await mkdir('/empty');
    const move = (from: string, to: string, expected?: number) =>
      namespace().moveEntry(names(from), names(to), expected, id());
    await failure('INVALID_ARGUMENT', (async () => move('/full', '/full/inside'))());
    await failure('INVALID_ARGUMENT', (async () => move('/', '/x'))());
    await failure('ALREADY_EXISTS', move('/new', '/'));
    await failure('ALREADY_EXISTS', move('/new', '/old', 0));
    await failure('VERSION_CONFLICT', move('/new', '/old', version + 100));
    await failure('VERSION_CONFLICT', move('/new', '/nothing', version));
    await failure('IS_A_DIRECTORY', move('/new', '/empty'));
    await failure('NOT_A_DIRECTORY', move('/empty', '/new'));
    await failure('NOT_EMPTY', move('/empty', '/full'));
    await failure('NOT_FOUND', move('/nothing', '/x'));
    await failure('NOT_FOUND', move('/new', '/no/parent'));
    expect((await move('/new', '/new')).path).toBe('/new');
    expect((await move('/new', '/old', version)).path).toBe('/old');
    expect((await move('/full', '/empty')).path).toBe('/empty');
    expect(await list('/')).toEqual(['/empty', '/old']);
    expect(tracker.store.counters).toMatchObject({ files: 2, directories: 1, logical_bytes: 200 });
  });

  it('deletes what it is asked to and nothing else', async () => {
    const { version } = await tracker.put('/dir/sub/file');
    await tracker.put('/dir/other');
    const remove = (path: string, recursive = false, expected?: number) =>
      namespace().deleteEntry(names(path), recursive, expected, id());
    await failure('INVALID_ARGUMENT', remove('/', true));
    await failure('NOT_FOUND', remove('/none'));
    await failure('NOT_EMPTY', remove('/dir'));
    await failure('VERSION_CONFLICT', remove('/dir/sub/file', false, version + 7));
    await failure('VERSION_CONFLICT', remove('/dir/sub/file', false, 0));
    for (const expected of [0, version]) await failure('IS_A_DIRECTORY', remove('/dir', true, expected));
    expect(await remove('/dir/other')).toBe(1);
    expect(await remove('/dir', true)).toBe(3);
    expect(await list('/')).toEqual([]);
    expect(tracker.store.counters).toMatchObject({ files: 0, directories: 0, logical_bytes: 0 });
  });

  it('takes a big deleted tree apart in the background, also after a restart', async () => {
    const { chunkIds } = await tracker.put('/tree/a/b/c/file');
    for (let index = 0; index < 20; index += 1) await mkdir(`/tree/a/d${index}`);
    await namespace().deleteEntry(['tree'], true, undefined, id());
    await tracker.restart();
    for (const keeper of tracker.keepers) await keeper.register();
    const entries = () =>
      tracker.store.read(({ db }) => db.selectFrom('entries').select('entry_id').execute());
    for (let step = 0; step < 50 && (await entries()).length > 1; step += 1)
      await tracker.core.reclaim.step();
    expect(await entries()).toHaveLength(1);
    expect(await tracker.chunkState(chunkIds[0]!)).toBe('live');
  });

  it('gives one answer to a request_id, also where it refused: what comes late a second time has no effect', async () => {
    const request = id();
    const remove = () => namespace().deleteEntry(['file'], false, undefined, request);
    const refused = await failure('NOT_FOUND', remove());
    await tracker.put('/file');
    expect(await failure('NOT_FOUND', remove())).toEqual(refused);
    await tracker.restart();
    const later = await failure('NOT_FOUND', remove());
    expect({ ...later, text: later.message }).toEqual({ ...refused, text: refused.message });
    expect(await list('/')).toEqual(['/file']);
    await failure('REQUEST_ID_REUSED', namespace().deleteEntry(['other'], false, undefined, request));
    await namespace().deleteEntry(['file'], false, undefined, id());
  });

  it('answers alike whoever asks while a refusal is being remembered', async () => {
    const request = id();
    const remove = () => namespace().deleteEntry(['dir'], false, undefined, request);
    const [first, , second] = await Promise.all([remove(), mkdir('/dir'), remove()]);
    expect([first, second, await remove()]).toEqual([1, 1, 1]);
    expect(await list('/')).toEqual([]);
  });

  it('does every mutation once for a request_id, also after a restart', async () => {
    const request = id();
    const made = await namespace().createDirectory(['once'], false, request);
    await tracker.restart();
    expect(await namespace().createDirectory(['once'], false, request)).toEqual(made);
    await failure('REQUEST_ID_REUSED', namespace().createDirectory(['other'], false, request));
    const moving = id();
    const moved = await namespace().moveEntry(['once'], ['there'], undefined, moving);
    expect(await namespace().moveEntry(['once'], ['there'], undefined, moving)).toEqual(moved);
    const deleting = id();
    expect(await namespace().deleteEntry(['there'], true, undefined, deleting)).toBe(1);
    expect(await namespace().deleteEntry(['there'], true, undefined, deleting)).toBe(1);
    await failure('NOT_FOUND', namespace().deleteEntry(['there'], true, undefined, id()));
  });
});
