import { describe, expect, it } from '@jest/globals';
import { compareAuthority } from '../../src/domain/authority.js';

const seen = { clusterId: 'c', epoch: 4, instanceId: 'i', transactionId: 10 };

describe('compareAuthority', () => {
  it.each([
    ['newer', undefined, seen],
    ['same', seen, { ...seen, transactionId: 12 }],
    ['newer', seen, { ...seen, epoch: 5, instanceId: 'j' }],
    ['stale', seen, { ...seen, epoch: 3 }],
    ['rival', seen, { ...seen, instanceId: 'j' }],
    ['foreign', seen, { ...seen, clusterId: 'd', epoch: 9 }],
  ])('says %s', (order, before, offered) => {
    expect(compareAuthority(before, offered)).toBe(order);
  });
});
