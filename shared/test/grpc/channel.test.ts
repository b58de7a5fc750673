import { afterEach, describe, expect, it } from '@jest/globals';
import { ChannelPool, dataChannelOptions, type PeerChannel } from '../../src/grpc/index.js';

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** Nothing listens there: connections are opened when a call is made, and none is. */
function channel(maxConnections: number): PeerChannel {
  const pool = new ChannelPool(dataChannelOptions, maxConnections);
  cleanUps.push(() => pool.close());
  return pool.get('127.0.0.1:1');
}

describe('a channel of several connections', () => {
  it('gives each call one of its own, and past the last one the one with the fewest calls', () => {
    const peer = channel(3);
    const slots = [1, 2, 3, 4].map(() => peer.begin());
    expect(new Set(slots.map(({ client }) => client)).size).toBe(3);
    const [first, second] = slots;
    expect(slots[3]?.client).toBe(first?.client);
    second?.ended('alive');
    expect(peer.begin().client).toBe(second?.client);
  });

  it('uses the same one again for calls one after another', () => {
    const peer = channel(3);
    const clients = [1, 2, 3].map(() => {
      const { client, ended } = peer.begin();
      ended('alive');
      return client;
    });
    expect(new Set(clients).size).toBe(1);
  });

  it('counts deadlines of all of them, and opens all anew when the peer is silent', () => {
    const peer = channel(2);
    const [one, other] = [peer.begin(), peer.begin()];
    one.ended('silent');
    other.ended('none');
    expect(peer.begin().client).toBe(one.client);
    peer.begin().ended('silent');
    const after = [peer.begin(), peer.begin()].map(({ client }) => client);
    expect(after).not.toContain(one.client);
    expect(after).not.toContain(other.client);
  });

  it('opens one anew that is silent while others answer, and leaves those', () => {
    const peer = channel(2);
    const [stuck, well] = [peer.begin(), peer.begin()];
    stuck.ended('silent');
    well.ended('alive');
    const again = peer.begin();
    expect(again.client).toBe(stuck.client);
    again.ended('silent');
    const after = [peer.begin(), peer.begin()].map(({ client }) => client);
    expect(after).toContain(well.client);
    expect(after).not.toContain(stuck.client);
  });

  it('learns nothing of the new ones from calls of the old ones', () => {
    const peer = channel(4);
    const old = [1, 2, 3, 4].map(() => peer.begin());
    old[0]?.ended('silent');
    old[1]?.ended('silent');
    const fresh = peer.begin();
    fresh.ended('none');
    old[2]?.ended('silent');
    old[3]?.ended('silent');
    expect(peer.begin().client).toBe(fresh.client);
  });
});
