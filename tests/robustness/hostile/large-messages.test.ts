/**
 * The largest messages that servers take, made of as many and as small things as fit: some megabytes that become
 * gigabytes in memory, and hold everybody up, if they are taken apart before they are looked at.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { limits } from '@holdfast/shared';
import { type Method, type Shape, contract, keeperMethods, trackerMethods } from './support/contract.js';
import { callRaw, openRaw } from './support/raw-calls.js';
import { Target } from './support/target.js';
import { delimited, tag, varint } from './support/wire.js';

/** A message as it came, what it is taken apart into, and what the process has anyhow. */
const peakBytes = 600 * 1024 ** 2;

let target: Target;
beforeAll(async () => {
  target = await Target.start();
});
afterAll(() => target.stop());

/** As many of a field as fit into so many bytes, each as short as can be; packed, if they are numbers. */
function fullOf(shape: Shape, bytes: number): { readonly what: string; readonly message: Buffer }[] {
  return shape.fields.flatMap(({ name, number, kind, repeated, typeName }) => {
    const inner = kind === 'message' ? contract.shape(typeName, shape.name) : undefined;
    // A map is a field that is repeated, of messages with a key; and each entry has another one.
    const isMap = inner?.fields.length === 2 && inner.fields[0]!.name === 'key';
    const one =
      kind === 'varint' ? Buffer.concat([tag(number, 0), varint(1)]) : delimited(number, Buffer.alloc(0));
    const many = Buffer.alloc(Math.floor(bytes / one.length) * one.length, one);
    const own = [
      ...(repeated && !isMap ? [{ what: name, message: many }] : []),
      ...(repeated && kind === 'varint' ? [{ what: `packed ${name}`, message: packed(number, bytes) }] : []),
      ...(isMap ? [{ what: name, message: manyKeys(number, bytes) }] : []),
    ];
    const below = inner && !isMap ? fullOf(inner, bytes - 16) : [];
    return [
      ...own,
      ...below.map(({ what, message }) => ({ what: `${name}.${what}`, message: delimited(number, message) })),
    ];
  });
}

function packed(number: number, bytes: number): Buffer {
  // A wire type that there is not, to whoever takes it for fields.
  return delimited(number, Buffer.alloc(bytes - 16, 0x07));
}

function manyKeys(number: number, bytes: number): Buffer {
  const entry = delimited(number, delimited(1, Buffer.alloc(6)));
  const all = Buffer.alloc(Math.floor((bytes - 16) / entry.length) * entry.length, entry);
  for (let at = entry.length; at <= all.length; at += entry.length) {
    all.write(at.toString(36).padStart(6, '0'), at - 6, 'latin1');
  }
  return all;
}

async function expectRefused(address: string, methods: readonly Method[], bytes: number): Promise<void> {
  const client = openRaw(address);
  try {
    for (const { path, request } of methods) {
      for (const { what, message } of fullOf(request, bytes)) {
        const { status, text, detail } = await callRaw(client, {
          path,
          messages: [message],
          deadlineMs: 180_000,
        });
        expect([path, what, status, text, detail]).toEqual([
          ...[path, what, expect.stringMatching(/^(INVALID_ARGUMENT|RESOURCE_EXHAUSTED)$/), text],
          expect.objectContaining({ message: expect.stringMatching(/./) }),
        ]);
        expect([path, what, ...target.exits]).toEqual([path, what]);
      }
    }
  } finally {
    client.close();
  }
  for (const [name, peak] of Object.entries(target.peakBytes())) {
    expect({ name, bounded: peak < peakBytes, peak }).toMatchObject({ name, bounded: true });
  }
}

const ours = ({ path }: Method): boolean => path.startsWith('/holdfast.');

it(
  'a tracker takes none of them apart',
  () =>
    expectRefused(target.cluster.trackerAddress, trackerMethods.filter(ours), limits.maxControlMessageBytes),
  600_000,
);

it(
  'nor does a keeper',
  () => expectRefused(target.servers[1]!.address, keeperMethods.filter(ours), limits.maxDataMessageBytes),
  600_000,
);
