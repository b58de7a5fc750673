/**
 * Messages that look valid and are not quite: each field by its type and name, with values at and beyond every bound,
 * and with what earlier answers said, so that some get past the first checks; then bytes that are changed in all the
 * ways in which a peer can be wrong.
 */
import type { Choices } from './random.js';
import { type Contract, type Field, type Shape } from './contract.js';
import {
  type WireField,
  type WireType,
  bytesOf,
  delimited,
  readFields,
  tag,
  varint,
  writeFields,
} from './wire.js';

/** Longer texts and more repetitions than anything allows, in few enough bytes to send many of them. */
const longText = 10_000;
/** Of a message that is made to be large; the largest that a server takes is 16 MiB. */
const manyBytes = 512 * 1024;
const maxDepth = 6;
/** Of each name, what is remembered of answers. */
const maxKnown = 40;

const numbers: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 10n, 127n, 128n, 255n, 4_096n, 65_536n, 65_537n, 1_048_576n, 2n ** 26n],
  ...[2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n],
  ...[2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, -1n, -(2n ** 31n), -(2n ** 53n)],
];

const texts: readonly (string | Buffer)[] = [
  ...[
    '',
    ' ',
    '0',
    '-1',
    'null',
    '\0',
    'a\0b',
    '\n',
    '\u202Eabc',
    '😀',
    'é',
    'e\u0301',
    '%00',
    '%2e%2e',
    '*',
  ],
  ...['__proto__', 'constructor', 'toString', 'con', 'NaN', 'Infinity', '1e9', '9'.repeat(400)],
  ...['x'.repeat(255), 'x'.repeat(256), 'x'.repeat(longText), '0'.repeat(32), 'f'.repeat(32), 'F'.repeat(32)],
  ...['127.0.0.1:1', '127.0.0.1:0', '[::1]:1', 'localhost:99999', ':1', 'a:1', `${'h'.repeat(300)}:1`],
  ...["'; drop table entries; --", '${0}', '{{7*7}}', '../../../../etc/passwd', '\\..\\x', '\x1b[2J'],
  // Not UTF-8: a lone byte, an overlong "/", half a surrogate pair, a character beyond the last, one cut off.
  ...['ff', 'c0af', 'eda080', 'f4908080', 'e282'].map((hex) => Buffer.from(hex, 'hex')),
];

const paths: readonly (string | Buffer)[] = [
  ...[
    '/',
    '',
    '/fuzz',
    '/fuzz/a',
    '/fuzz/a/b',
    '/fuzz/d',
    '/fuzz/d/e',
    '/fuzz/\n',
    '/fuzz/😀',
    '/fuzz/\x1b[2J',
  ],
  ...[
    '//',
    '/.',
    '/..',
    '/fuzz/..',
    '/fuzz/../f-0',
    '/fuzz/./a',
    '/fuzz//a',
    '/fuzz/',
    'fuzz',
    './fuzz',
    '/fuzz/\0',
  ],
  ...[`/fuzz/${'n'.repeat(255)}`, `/fuzz/${'n'.repeat(256)}`, `/fuzz${'/d'.repeat(2_045)}`],
  ...[`/fuzz${'/d'.repeat(5_000)}`, '/fuzz/__proto__', '/fuzz/constructor'],
  ...['2f66757a7a2fff', '2f66757a7a2fc0af', '2f66757a7a2feda080'].map((hex) => Buffer.from(hex, 'hex')),
];

/** Fields that are filled from answers under another name. */
const sameAs: Readonly<Record<string, string>> = {
  page_token: 'next_page_token',
  token: 'read_token',
  source_path: 'path',
  destination_path: 'path',
  versions: 'version',
  expected_version: 'version',
  append_to_version: 'version',
  after_event_id: 'event_id',
  digest: 'chunk_digest',
  chunk_ids: 'chunk_id',
  keeper_ids: 'keeper_id',
};

function keyOf({ name }: Field): string {
  return sameAs[name] ?? name;
}

/** What answers said, by the names of fields: the next requests are about it. */
export class Known {
  readonly #values = new Map<string, (bigint | Buffer)[]>();
  readonly #contract: Contract;

  constructor(contract: Contract) {
    this.#contract = contract;
  }

  add(name: string, value: bigint | Buffer): void {
    const values = this.#values.get(name) ?? [];
    this.#values.set(name, values);
    if (!values.some((each) => String(each) === String(value))) values.push(value);
    if (values.length > maxKnown) values.splice(1, 1);
  }

  /** Takes from an answer what it says. */
  learn(shape: Shape, message: Buffer, depth = 0): void {
    if (depth > maxDepth) return;
    for (const { number, value } of readFields(message)) {
      const field = shape.fields.find((each) => each.number === number);
      if (!field) continue;
      if (field.kind === 'message' && Buffer.isBuffer(value)) {
        this.learn(this.#contract.shape(field.typeName, shape.name), value, depth + 1);
      } else this.add(keyOf(field), value);
    }
  }

  valuesOf(field: Field): readonly (bigint | Buffer)[] {
    return this.#values.get(keyOf(field)) ?? [];
  }
}

export interface MessageMaker {
  readonly choices: Choices;
  readonly contract: Contract;
  readonly known: Known;
  /** Whether a field is not filled with this known value: what it names is not the fuzzer's to give away. */
  readonly withholds: (fieldName: string, value: bigint | Buffer) => boolean;
}

function textFor(maker: MessageMaker, field: Field): Buffer {
  const { choices, known, withholds } = maker;
  const heard = known.valuesOf(field).filter((value) => !withholds(field.name, value));
  if (heard.length > 0 && !choices.once(3)) {
    const value = choices.one(heard);
    if (Buffer.isBuffer(value)) return choices.once(12) ? mutate(choices, value) : value;
  }
  const isPath = field.name.endsWith('path');
  if (!isPath && /_ids?$/.test(field.name) && !choices.once(3)) return Buffer.from(choices.id());
  if (field.kind === 'bytes') return bytesFor(choices);
  const text = choices.one(isPath && !choices.once(6) ? paths : texts);
  return Buffer.isBuffer(text) ? text : Buffer.from(text);
}

function bytesFor(choices: Choices): Buffer {
  const length = choices.one([0, 1, 16, 31, 32, 32, 32, 33, 63, 95, 4_096, longText]);
  return choices.once(2) ? Buffer.alloc(length, choices.below(256)) : choices.bytes(Math.min(length, 200));
}

function numberFor(maker: MessageMaker, field: Field): bigint {
  const { choices, known } = maker;
  const heard = known.valuesOf(field).filter((value) => typeof value === 'bigint');
  if (heard.length > 0 && choices.once(2)) return choices.one(heard);
  return choices.once(3) ? BigInt(choices.below(10)) : choices.one(numbers);
}

/** One value of a field, with its tag. */
function encodeField(maker: MessageMaker, field: Field, scope: string, depth: number): Buffer {
  const { choices } = maker;
  if (choices.once(60)) return wrongType(choices, field.number);
  switch (field.kind) {
    case 'varint':
      return Buffer.concat([tag(field.number, 0), varint(numberFor(maker, field))]);
    case 'fixed32':
    case 'fixed64':
      return Buffer.concat([
        tag(field.number, field.kind === 'fixed32' ? 5 : 1),
        choices.bytes(field.kind === 'fixed32' ? 4 : 8),
      ]);
    case 'message':
      return delimited(
        field.number,
        makeMessage(maker, maker.contract.shape(field.typeName, scope), depth + 1),
      );
    case 'text':
    case 'bytes':
      return delimited(field.number, textFor(maker, field));
  }
}

function wrongType(choices: Choices, number: number): Buffer {
  const wireType = choices.below(8) as WireType;
  return Buffer.concat([tag(number, wireType), choices.bytes(choices.one([0, 1, 4, 8, 20]))]);
}

/** How often a repeated field is there. */
function occurrences(choices: Choices, field: Field): number {
  if (field.repeated) return choices.one([0, 1, 1, 1, 2, 3, 17, 65]);
  // Once more than once: the last one counts.
  return choices.once(8) ? 0 : choices.once(30) ? 2 : 1;
}

/** A message of the shape, as a peer might write it that means ill or knows no better. */
export function makeMessage(maker: MessageMaker, shape: Shape, depth = 0): Buffer {
  const parts: Buffer[] = [];
  for (const field of shape.fields) {
    if (depth >= maxDepth && field.kind === 'message') continue;
    const times =
      depth > 1 && field.repeated
        ? Math.min(2, occurrences(maker.choices, field))
        : occurrences(maker.choices, field);
    for (let n = 0; n < times; n += 1) parts.push(encodeField(maker, field, shape.name, depth));
  }
  return Buffer.concat(parts);
}

/** One of the fields again and again, as short as can be and as often as fits: a million objects from little data. */
export function repeatField(choices: Choices, shape: Shape, bytes = manyBytes): Buffer {
  const { number = 1, kind = 'bytes' } = shape.fields.length > 0 ? choices.one(shape.fields) : {};
  const one =
    kind === 'varint' ? Buffer.concat([tag(number, 0), varint(1)]) : delimited(number, Buffer.alloc(0));
  return Buffer.alloc(Math.floor(bytes / one.length) * one.length, one);
}

const mutations: readonly ((choices: Choices, bytes: Buffer) => Buffer)[] = [
  // A bit flips.
  (choices, bytes) => {
    const changed = Buffer.from(bytes);
    if (changed.length > 0) changed[choices.below(changed.length)]! ^= 1 << choices.below(8);
    return changed;
  },
  // It is cut off.
  (choices, bytes) => bytes.subarray(0, choices.below(bytes.length + 1)),
  // It goes on.
  (choices, bytes) => Buffer.concat([bytes, choices.bytes(choices.one([1, 2, 5, 100]))]),
  // A part comes twice.
  (choices, bytes) => {
    const from = choices.below(bytes.length + 1);
    const to = from + choices.below(bytes.length - from + 1);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  // A length that nothing is behind.
  (choices, bytes) =>
    Buffer.concat([
      bytes,
      tag(1 + choices.below(15), 2),
      varint(choices.one([5, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 62])),
    ]),
  // Fields that nobody knows, with the highest number, and with none.
  (choices, bytes) =>
    Buffer.concat([bytes, delimited(choices.one([0, 1_000, 2 ** 29 - 1]), choices.bytes(10))]),
  // Groups in groups, ended or not.
  (choices, bytes) => {
    const depth = choices.one([1, 50, 101, longText]);
    const opened = Buffer.alloc(depth * 2, tag(100, 3));
    return Buffer.concat([
      bytes,
      opened,
      choices.once(2) ? Buffer.alloc(depth * 2, tag(100, 4)) : Buffer.alloc(0),
    ]);
  },
  // A varint without an end.
  (choices, bytes) => Buffer.concat([bytes, tag(1 + choices.below(15), 0), Buffer.alloc(11, 0xff)]),
];

/** One change. */
export function mutate(choices: Choices, bytes: Buffer): Buffer {
  return choices.one(mutations)(choices, bytes);
}

/** How often a field that is repeated is there, at most more often than any answer may have it. */
const repetitions = [2, 17, 1_100, 20_000];
/** However short it is, so many bytes of it are enough. */
const repeatedBytes = 4 * 1024 * 1024;

/** A true message in which one thing is not true: it is left out, said again and again, another one, or one too many. */
export function alter(maker: MessageMaker, shape: Shape, message: Buffer, depth = 0): Buffer {
  const { choices, contract } = maker;
  const fields = fieldsIn(message);
  if (!fields) return mutate(choices, message);
  const at = choices.below(Math.max(1, fields.length));
  const chosen = fields[at];
  const field = shape.fields.find(({ number }) => number === chosen?.number);
  if (!chosen || !field || choices.once(8)) {
    if (shape.fields.length === 0) return mutate(choices, message);
    return Buffer.concat([message, encodeField(maker, choices.one(shape.fields), shape.name, depth)]);
  }
  const instead = (...values: readonly WireField[]): Buffer =>
    writeFields(fields.toSpliced(at, 1, ...values));
  if (field.kind === 'message' && Buffer.isBuffer(chosen.value) && !choices.once(4)) {
    const nested = contract.shape(field.typeName, shape.name);
    return instead({ ...chosen, value: alter(maker, nested, chosen.value, depth + 1) });
  }
  const isOfField = ({ number }: WireField): boolean => number === chosen.number;
  switch (choices.below(6)) {
    case 0:
      return instead();
    case 1:
      return writeFields(fields.filter((each) => !isOfField(each)));
    case 2: {
      const most = Math.ceil(repeatedBytes / (1 + (Buffer.isBuffer(chosen.value) ? chosen.value.length : 1)));
      return instead(...Array<WireField>(Math.min(most, choices.one(repetitions))).fill(chosen));
    }
    case 3: {
      // In another order.
      const turned = fields.filter(isOfField).reverse();
      return writeFields(fields.map((each) => (isOfField(each) ? turned.shift()! : each)));
    }
    case 4:
      return instead({ ...chosen, value: nearby(choices, field, chosen.value) });
    default: {
      const other = encodeField(maker, field, shape.name, depth);
      const [before, after] = [fields.slice(0, at), fields.slice(at + 1)].map(writeFields);
      return Buffer.concat([before!, other, after!]);
    }
  }
}

/** Nothing if it is no message at all, as lies about lies may be. */
function fieldsIn(message: Buffer): WireField[] | undefined {
  try {
    return readFields(message);
  } catch {
    return undefined;
  }
}

/** A true message with up to 65 more things in one of its lists. */
export function lengthen(maker: MessageMaker, shape: Shape, message: Buffer): Buffer {
  const lists = shape.fields.filter(({ repeated }) => repeated);
  if (lists.length === 0) return message;
  const field = maker.choices.one(lists);
  const more = Array.from({ length: maker.choices.one([1, 2, 17, 65]) }, () =>
    encodeField(maker, field, shape.name, 0),
  );
  return Buffer.concat([message, ...more]);
}

/** Almost the same value. */
function nearby(choices: Choices, { kind, name }: Field, value: bigint | Buffer): bigint | Buffer {
  if (!Buffer.isBuffer(value)) {
    return choices.one([value + 1n, value - 1n, 2n * value, value / 2n, 0n, -value, value + 2n ** 53n]);
  }
  if (kind !== 'text' || choices.once(3)) return mutate(choices, value);
  const text = value.toString();
  const endings = [
    '/',
    '/.',
    '/..',
    '/../../escaped',
    '\0',
    '\n',
    '\x1b[31m',
    '\u202e',
    '\\..\\escaped',
    text,
  ];
  const beginnings = ['/..', '..', '/', '//', '../..', '\x1b]0;', text];
  if (name.endsWith('path') && choices.once(2)) return Buffer.from(choices.one(beginnings) + text);
  return Buffer.from(text + choices.one(endings));
}

/** The same message with all that has a length, at any depth, as `change` has it. */
export function replaced(
  contract: Contract,
  shape: Shape,
  message: Buffer,
  change: (field: Field, value: Buffer) => Buffer,
): Buffer {
  return writeFields(
    readFields(message).map((each) => {
      const field = shape.fields.find(({ number }) => number === each.number);
      if (!field || !Buffer.isBuffer(each.value)) return each;
      const value =
        field.kind === 'message'
          ? replaced(contract, contract.shape(field.typeName, shape.name), each.value, change)
          : change(field, each.value);
      return { ...each, value };
    }),
  );
}

/** Every text of a message of a known shape, to see what it asked for. */
export function textsIn(contract: Contract, shape: Shape, message: Buffer): Buffer[] {
  const fields = readFields(message);
  return shape.fields.flatMap((field) => {
    const values = bytesOf(fields, field.number);
    if (field.kind === 'text') return values;
    if (field.kind !== 'message') return [];
    return values.flatMap((value) => textsIn(contract, contract.shape(field.typeName, shape.name), value));
  });
}
