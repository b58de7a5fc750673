import { describe, expect, it } from '@jest/globals';
import { defaultPolicy, replicaPolicy } from '../../src/domain/policy.js';

describe('replicaPolicy', () => {
  it.each([
    [{}, defaultPolicy],
    [{ pieces: 1 }, { scheme: 'replicas', pieces: 1, needed: 1, minWrite: 1 }],
    [
      { pieces: 5, minWrite: 4 },
      { scheme: 'replicas', pieces: 5, needed: 1, minWrite: 4 },
    ],
  ])('fills %j in', (wish, policy) => {
    expect(replicaPolicy(wish)).toEqual(policy);
  });

  it.each([{ pieces: 17 }, { pieces: -1 }, { pieces: 1.5 }, { pieces: 2, minWrite: 3 }, { minWrite: -2 }])(
    'refuses %j',
    (wish) => {
      expect(() => replicaPolicy(wish)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    },
  );
});
