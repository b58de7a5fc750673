import { describe, expect, test } from '@jest/globals';
import { type Frame, selfTimes, type Stack } from '../../src/profile/cpu-profile.js';
import { type Group, groupOf } from '../../src/profile/groups.js';
import { always, countedByHand, recorded } from './recorded.js';

const frame = (functionName: string, url = '', lineNumber = 0): Frame => ({ functionName, url, lineNumber });

describe('the groups of a profile', () => {
  test('a recorded profile adds up as it does by hand', () => {
    const micros: Partial<Record<Group, number>> = {};
    for (const [stack, time] of selfTimes(recorded, always)) {
      const group = groupOf(stack);
      micros[group] = (micros[group] ?? 0) + time;
    }
    expect(micros).toEqual(countedByHand);
  });

  test.each<[Group, Stack]>([
    ['files', [frame('writeBuffer'), frame('writeSync', 'node:fs')]],
    ['sockets', [frame('writeBuffer'), frame('writeGeneric', 'node:internal/stream_base_commons')]],
    ['HTTP/2', [frame('', 'node:internal/http2/core')]],
    ['grpc-js', [frame('push', 'file:///a/node_modules/@grpc/grpc-js/build/src/server-call.js')]],
    ['protobuf', [frame('serialize', 'file:///a/node_modules/@grpc/proto-loader/build/src/index.js')]],
    ['checksums', [frame('update', 'node:internal/crypto/hash')]],
    ['our own code', [frame('locate', 'file:///a/client/dist/download/locate.js')]],
    ['other JavaScript', [frame('locate', 'file:///a/node_modules/b/index.js')]],
    ['other JavaScript', [frame('unknown'), frame('(root)')]],
  ])('%s: %j', (group, stack) => {
    expect(groupOf(stack)).toBe(group);
  });
});
