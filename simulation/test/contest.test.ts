import { describe, expect, it } from '@jest/globals';
import { Contest, digestOf } from '../src/contest.js';

describe('a path of several clients', () => {
  let nowMs = 0;
  const at = (ms: number): void => void (nowMs = ms);
  const contest = (): Contest => new Contest('/shared/x', () => nowMs);
  const bytes = (text: string): Buffer => Buffer.from(text);
  /** A write that began and ended then; NaN for one that is never acknowledged. */
  const write = (to: Contest, text: string, beganMs: number, endedMs: number, version: number) => {
    at(beganMs);
    const attempt = to.begin(text, digestOf(bytes(text)));
    at(endedMs);
    to.end(attempt, Number.isNaN(version) ? 'unknown' : 'ok', version);
    return attempt;
  };

  it('may show a write that runs, or of which nobody knows, and none that another one took the place of', () => {
    const x = contest();
    write(x, 'one', 0, 10, 1);
    write(x, 'unknown', 20, 30, NaN);
    const running = x.begin('running', digestOf(bytes('running')));
    for (const text of ['one', 'unknown', 'running']) x.checkRead(bytes(text), 40);
    write(x, 'two', 50, 60, 2);
    // Which of the two came first only their versions tell.
    for (const text of ['two', 'unknown', 'running']) x.checkRead(bytes(text), 70);
    expect(() => x.checkRead(bytes('one'), 70)).toThrow('one is there after two was acknowledged');
    // A read that began before may have looked before.
    x.checkRead(bytes('one'), 55);
    expect(() => x.checkRead(undefined, 70)).toThrow('nothing is there');
    expect(() => x.checkRead(bytes('tw'), 70)).toThrow('nobody wrote');
    x.end(running, 'failed');
    expect(() => x.checkRead(bytes('running'), 70)).toThrow('was refused');
    write(x, 'three', 100_000, 100_010, 3);
    expect(() => x.checkRead(bytes('unknown'), 100_020)).toThrow('unknown is there after three');
  });

  it('gives whoever names a version exactly that one', () => {
    const x = contest();
    write(x, 'one', 0, 10, 1);
    const swaps = ['a', 'b'].map((text) => x.begin(text, digestOf(bytes(text)), 1));
    x.end(swaps[0]!, 'ok', 2);
    expect(() => x.end(swaps[1]!, 'ok', 3)).toThrow('took the place of 1');
  });

  it('gives later writes higher versions', () => {
    const x = contest();
    write(x, 'one', 0, 10, 5);
    expect(() => write(x, 'two', 20, 30, 4)).toThrow('made version 4 after');
  });

  it('has each record of a log once, in order, and none that was refused', () => {
    const append = (log: Contest, text: string, beganMs: number, outcome: 'ok' | 'failed' | 'unknown') => {
      at(beganMs);
      const attempt = log.begin(text.trim(), text);
      at(beganMs + 5);
      log.end(attempt, outcome, outcome === 'ok' ? beganMs : NaN);
    };
    const log = (): Contest => {
      const made = contest();
      append(made, 'a\n', 10, 'ok');
      append(made, 'b\n', 20, 'ok');
      append(made, 'u\n', 30, 'unknown');
      append(made, 'f\n', 40, 'failed');
      return made;
    };
    for (const good of ['a\nb\n', 'a\nu\nb\n', 'a\nb\nu\n']) log().checkText(good, 100);
    log().checkText('a\n', 22);
    for (const [bad, why] of [
      ['a\n', 'b is not there'],
      ['b\na\n', 'b, which came after it'],
      ['a\nb\nb\n', 'b is there twice'],
      ['a\nb\nf\n', 'f is there, and was refused'],
      ['a\nb\nx\n', 'nobody appended'],
      ['a\nb', 'nobody appended'],
    ]) {
      expect(() => log().checkText(bad!, 100)).toThrow(why!);
    }
    const seen = log();
    seen.checkText('a\nu\nb\n', 100);
    expect(() => seen.checkText('a\nb\nu\n', 100)).toThrow('two reads disagree');
  });
});
