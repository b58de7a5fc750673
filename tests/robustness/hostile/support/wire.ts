/** Protobuf's wire format, written and read without the product's code, right and wrong. */

/** 0: varint, 1: eight bytes, 2: a length and as many bytes, 3 and 4: around a group, 5: four bytes. */
export type WireType = 0 | 1 | 2 | 3 | 4 | 5;

export interface WireField {
  readonly number: number;
  readonly wireType: WireType;
  /** Numbers as numbers, everything with a length as bytes. */
  readonly value: bigint | Buffer;
}

const wordBits = 64n;

/** A number as a varint; negative ones as 64 bits of two's complement. */
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(Number(wordBits), BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

export function tag(number: number, wireType: WireType): Buffer {
  return varint(BigInt(number) * 8n + BigInt(wireType));
}

export function delimited(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([tag(number, 2), varint(bytes.length), bytes]);
}

/** The fields of a message in their order. @throws Error if it is none */
export function readFields(message: Buffer): WireField[] {
  const fields: WireField[] = [];
  let at = 0;
  /** Groups are no part of the contract, and legal: what is in one is passed over. */
  let groups = 0;
  const number = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a varint is cut off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a varint is too long');
  };
  const taken = (length: number): Buffer => {
    if (at + length > message.length) throw new Error('a field is cut off');
    at += length;
    return message.subarray(at - length, at);
  };
  const valueOf = (wireType: WireType): bigint | Buffer | undefined => {
    if (wireType === 0) return number();
    if (wireType === 1) return taken(8);
    if (wireType === 2) return taken(Number(number()));
    if (wireType === 5) return taken(4);
    groups += wireType === 3 ? 1 : -1;
    if (wireType > 4 || groups < 0) throw new Error(`wire type ${wireType}`);
    return undefined;
  };
  while (at < message.length) {
    const key = number();
    const [fieldNumber, wireType] = [Number(key >> 3n), Number(key & 7n) as WireType];
    const value = valueOf(wireType);
    if (value !== undefined && groups === 0) fields.push({ number: fieldNumber, wireType, value });
  }
  if (groups !== 0) throw new Error('a group has no end');
  return fields;
}

/** A message of the fields, in their order. */
export function writeFields(fields: readonly WireField[]): Buffer {
  return Buffer.concat(
    fields.map(({ number, wireType, value }) => {
      if (!Buffer.isBuffer(value)) return Buffer.concat([tag(number, wireType), varint(value)]);
      return wireType === 2 ? delimited(number, value) : Buffer.concat([tag(number, wireType), value]);
    }),
  );
}

/** All values of the field with a length, and of one. */
export function bytesOf(fields: readonly WireField[], number: number): Buffer[] {
  return fields.flatMap((field) =>
    field.number === number && Buffer.isBuffer(field.value) ? field.value : [],
  );
}

export function textOf(fields: readonly WireField[], number: number): string {
  return (bytesOf(fields, number).at(-1) ?? Buffer.alloc(0)).toString();
}

export function numberOf(fields: readonly WireField[], number: number): number {
  const found = fields.findLast((field) => field.number === number)?.value;
  return typeof found === 'bigint' ? Number(found) : 0;
}
