/**
 * What lying servers say: true answers in which one thing is changed, answers of nothing but nonsense, errors with
 * nonsense in their details, and answers that never come, never end, end too early or come again and again.
 */
import { Metadata } from '@grpc/grpc-js';
import { keeperV1 } from '@holdfast/proto';
import { blockChecksums } from '@holdfast/shared';
import { type Method, contract } from './contract.js';
import type { Liar, Lie } from './lying-server.js';
import {
  Known,
  type MessageMaker,
  alter,
  lengthen,
  makeMessage,
  mutate,
  repeatField,
  replaced,
} from './messages.js';
import type { Choices } from './random.js';
import { delimited, readFields, tag, varint, writeFields } from './wire.js';

const detailShape = contract.shape('.holdfast.common.v1.ErrorDetail');
const typeUrl = Buffer.from('type.googleapis.com/holdfast.common.v1.ErrorDetail');
const { ReadChunk } = keeperV1.ChunkService.service;
/** More than a control message may have. */
const tooMuchBytes = 17 * 1024 * 1024;

/** How a server is minded for a while. */
export type Mood =
  | { readonly kind: 'honest' }
  /** Once in `odds` calls it lies, each time in another way. */
  | { readonly kind: 'fickle'; readonly odds: number }
  /** It lies about one method only, always in the same way. */
  | { readonly kind: 'stubborn' };

/** Makes one kind of lie; undefined where the method has nothing that it could be about. */
type Teller = (choices: Choices, method: Method, maker: MessageMaker) => Lie | undefined;

const said = (name: string, say: (truth: Buffer) => Buffer): Lie => ({ name, say: (truth) => [say(truth)] });

/** An error of any code, with details that are nonsense, or of another code, or almost right. */
const refusal: Teller = (choices, _, maker) => {
  const rare = choices.one([1, 4, 14]);
  // What may be asked again is, for a minute.
  const code = choices.once(6) ? rare : choices.one([2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 15, 16, 17, 99]);
  const detail = makeMessage(maker, detailShape);
  const any = Buffer.concat([delimited(1, typeUrl), delimited(2, detail)]);
  const envelope = Buffer.concat([
    tag(1, 0),
    varint(code),
    delimited(2, Buffer.from('no')),
    delimited(3, any),
  ]);
  const packed = choices.one([envelope, envelope, mutate(choices, envelope), detail, Buffer.alloc(0)]);
  const metadata = new Metadata();
  // More would not arrive.
  if (!choices.once(4)) metadata.set('grpc-status-details-bin', packed.subarray(0, 4_000));
  const details = choices.one(['', 'no', '\x1b[2J\x1b]0;title\x07', 'x'.repeat(5_000), '%00%ff\n\nok']);
  return { name: `status ${code}`, refusal: { code, details, metadata } };
};

/** Other bytes, each block with the checksum that it should have. */
const forgery: Teller = (choices, { path }) => {
  // StreamReplica's blocks are the same field of the same number.
  if (!path.endsWith('/ReadChunk') && !path.endsWith('/StreamReplica')) return undefined;
  return said('forged blocks', (truth) => {
    const { blocks } = ReadChunk.responseDeserialize(truth);
    if (!blocks || blocks.data.length === 0) return truth;
    const data = Buffer.from(blocks.data);
    data[choices.below(data.length)]! ^= 0xff;
    return ReadChunk.responseSerialize({ blocks: { ...blocks, data, checksums: blockChecksums(data) } });
  });
};

/** A page that says that there is another one, and another one, with or without anything on it. */
const treadmill: Teller = (choices, { response }) => {
  const next = response.fields.find(({ name }) => name === 'next_page_token');
  if (!next) return undefined;
  const token = choices.one([() => 'again', () => choices.one(['one', 'other']), () => choices.id()]);
  const isEmpty = choices.once(2);
  return said(`another page, ${isEmpty ? 'empty' : 'the same'}, for ever`, (truth) => {
    const kept = isEmpty ? [] : readFields(truth).filter(({ number }) => number !== next.number);
    return Buffer.concat([writeFields(kept), delimited(next.number, Buffer.from(token()))]);
  });
};

const altered: Teller = (_, { response }, maker) => said('altered', (truth) => alter(maker, response, truth));

const lengthened: Teller = (_, { response }, maker) =>
  said('with more in a list', (truth) => lengthen(maker, response, truth));

const tellers: readonly Teller[] = [
  ...Array<Teller>(8).fill(altered),
  ...[forgery, forgery, treadmill, treadmill, refusal, refusal, lengthened, lengthened],
  (_, { response }, maker) =>
    said('altered twice', (truth) => alter(maker, response, alter(maker, response, truth))),
  (choices) => said('mutated', (truth) => mutate(choices, truth)),
  (_, { response }, maker) => said('made up', () => makeMessage(maker, response)),
  (choices, { response }) => said('one field again and again', () => repeatField(choices, response)),
  () => said('empty', () => Buffer.alloc(0)),
  () => said('too long', () => Buffer.alloc(tooMuchBytes)),
  () => ({ name: 'twice', say: (truth) => [truth, truth] }),
  (choices) => {
    const leftOut = choices.below(4);
    return { name: `without message ${leftOut}`, say: (truth, index) => (index === leftOut ? [] : [truth]) };
  },
  (choices) => ({ name: 'ended early', endAfter: choices.below(3) }),
  () => ({ name: 'the last one for ever', forEver: (last) => last }),
  () => ({ name: 'empty ones for ever', forEver: () => Buffer.alloc(0) }),
  (choices) => ({ name: 'silent', silentAfter: choices.below(3) }),
];

export interface InventorOptions {
  readonly choices: Choices;
  /** By the address of a real server, the one that is told instead: of whoever lies in its place. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly withholds?: MessageMaker['withholds'];
  /** Whether the truth is told in the place of a lie, as that would be believed with good reason. */
  readonly spares?: (method: Method, truth: Buffer, lie: Buffer) => boolean;
  /** What of the answers is true for whoever is lied to. */
  readonly edits?: (method: Method, truth: Buffer) => Buffer;
}

/** Makes things up, by a seed. */
export class Inventor implements Liar {
  mood: Mood = { kind: 'honest' };
  /** What was told since this was emptied, with the names of the methods. */
  told: string[] = [];
  readonly #options: InventorOptions;
  readonly #maker: MessageMaker;
  #stubborn: { readonly path: string; readonly teller: Teller } | undefined;

  constructor(options: InventorOptions) {
    const { choices, withholds = () => false } = options;
    this.#options = options;
    this.#maker = { choices, contract, known: new Known(contract), withholds };
  }

  /** What is known from now on as if an answer had said it. */
  get known(): Known {
    return this.#maker.known;
  }

  /** From now on it is so minded. */
  turn(mood: Mood): void {
    this.mood = mood;
    this.told = [];
    this.#stubborn = undefined;
  }

  lieFor(method: Method): Lie | undefined {
    const teller = method.path.startsWith('/holdfast.') ? this.#tellerFor(method) : undefined;
    const lie = teller?.(this.#options.choices, method, this.#maker);
    if (!lie) return undefined;
    this.told.push(`${method.name}: ${lie.name}`);
    const { spares } = this.#options;
    const { say } = lie;
    if (!say || !spares) return lie;
    return {
      ...lie,
      say: (truth, index) => say(truth, index).map((each) => (spares(method, truth, each) ? truth : each)),
    };
  }

  #tellerFor(method: Method): Teller | undefined {
    const { choices } = this.#options;
    const { mood } = this;
    if (mood.kind === 'honest') return undefined;
    if (mood.kind === 'fickle') return choices.once(mood.odds) ? choices.one(tellers) : undefined;
    // Any of the first few methods that are called.
    if (!this.#stubborn && !choices.once(3))
      this.#stubborn = { path: method.path, teller: choices.one(tellers) };
    return this.#stubborn?.path === method.path ? this.#stubborn.teller : undefined;
  }

  localise(method: Method, truth: Buffer): Buffer {
    // Blocks hold no addresses, and nothing to learn.
    if (method.responseStream && method.path.startsWith('/holdfast.keeper.')) return truth;
    const { addresses, edits = (_, same) => same } = this.#options;
    const here = replaced(contract, method.response, edits(method, truth), ({ name }, value) => {
      const instead = name === 'address' ? addresses.get(value.toString()) : undefined;
      return instead === undefined ? value : Buffer.from(instead);
    });
    this.#maker.known.learn(method.response, here);
    return here;
  }
}
