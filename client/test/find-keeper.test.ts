import { expect, it } from '@jest/globals';
import { findKeeper } from '../src/cluster/find-keeper.js';
import type { KeeperStatus } from '../src/ports/cluster-status.js';

const keeper = (keeperId: string, address: string): KeeperStatus => ({
  ...{ keeperId, address, zone: '', state: 'live', totalBytes: 0, usedBytes: 0, freeBytes: 0, pieces: 0 },
  ...{ softwareVersion: '', reported: true, storageError: '', draining: false },
});
const keepers = [keeper('aa11', '10.0.0.1:7500'), keeper('aa22', '10.0.0.2:7500'), keeper('aa2', 'host:1')];

it('finds a keeper by its id, the beginning of it, or its address', () => {
  expect(findKeeper(keepers, 'aa11').address).toBe('10.0.0.1:7500');
  expect(findKeeper(keepers, 'aa1').keeperId).toBe('aa11');
  expect(findKeeper(keepers, '10.0.0.2:7500').keeperId).toBe('aa22');
  // Whole ids go before beginnings.
  expect(findKeeper(keepers, 'aa2').address).toBe('host:1');
});

it('says who may be meant, or that nobody is', () => {
  expect(() => findKeeper(keepers, 'aa')).toThrow(/may be any of aa11 .*aa22/);
  expect(() => findKeeper(keepers, 'b')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
});
