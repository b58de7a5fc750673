import { describe, expect, it } from '@jest/globals';
import { Model, absent } from '../src/model.js';

describe('the model', () => {
  it('lets a restore bring back what was at a path, or may have been, and nothing that was refused', () => {
    const model = new Model();
    const [one, refused, unknown, two] = ['one', 'refused', 'unknown', 'two'].map((text) =>
      model.contentOf(Buffer.from(text)),
    ) as [string, string, string, string];
    expect(model.restorable('/a')).toEqual(new Set());
    model.maybe('/a', one);
    model.is('/a', one);
    const before = model.allowed('/a');
    model.maybe('/a', refused);
    model.was('/a', before);
    model.maybe('/a', unknown);
    model.maybe('/a', two);
    model.is('/a', two);
    model.is('/a', absent);
    expect(model.restorable('/a')).toEqual(new Set([one, unknown, two]));
    expect(model.restorable('/b')).toEqual(new Set());
  });
});
