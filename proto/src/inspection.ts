/** A walk through one message, to see that it is one. */
import { isUtf8 } from 'node:buffer';
import { type Field, type Shape, wireTypes } from './shapes.js';

/** Fields and elements in one message. The largest commit has 650,000. */
const maxParts = 800_000;
/** Messages in one message: each becomes an object of some 500 bytes. The largest commit has 140,000. */
const maxInnerMessages = 200_000;

/** Of a number of 32 bits as a varint, and of one of 64 bits, or a negative one of 32, which is written as if it had 64. */
const maxBytesOf32 = 5;
const maxBytesOf64 = 10;
const max32 = 0xffff_ffff;

/** All methods throw a RangeError for what is no message of the shape. */
export class Inspection {
  readonly #bytes: Buffer;
  #at = 0;
  #parts = 0;
  #innerMessages = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(shape: Shape, end: number): void {
    let met = 0;
    while (this.#at < end) {
      const tag = this.#number(end);
      const wireType = tag % 8;
      const number = Math.floor(tag / 8);
      if (number === 0) throw new RangeError('a field without a number');
      this.#countPart();
      const field = shape.get(number);
      if (!field || field.wireType === wireType) this.#value(wireType, field, end);
      else if (field.isPackable && wireType === wireTypes.length) this.#packed(field, end);
      else throw new RangeError(`field ${number} is of another type`);
      if (!field) continue;
      // Others join the two, or take the last of a oneof; protobufjs does neither.
      if (met & field.onceBit) throw new RangeError(`field ${number}, or another in its place, came before`);
      met |= field.onceBit;
    }
  }

  #countPart(): void {
    this.#parts += 1;
    if (this.#parts > maxParts) throw new RangeError(`more than ${maxParts} fields and elements`);
  }

  #value(wireType: number, field: Field | undefined, end: number): void {
    switch (wireType) {
      case wireTypes.varint:
        this.#skipNumber(field?.bits ?? 64, end);
        return;
      case wireTypes.eightBytes:
        this.#skip(8, end);
        return;
      case wireTypes.fourBytes:
        this.#skip(4, end);
        return;
      case wireTypes.length:
        this.#content(this.#number(end), field, end);
        return;
      default:
        // Groups are older than the contract's version of the language.
        throw new RangeError(`a field of wire type ${wireType}`);
    }
  }

  #content(length: number, field: Field | undefined, end: number): void {
    const start = this.#at;
    this.#skip(length, end);
    if (field?.isText) this.#checkText(start);
    if (!field?.shape) return;
    this.#innerMessages += 1;
    if (this.#innerMessages > maxInnerMessages)
      throw new RangeError(`more than ${maxInnerMessages} messages`);
    this.#at = start;
    this.message(field.shape, start + length);
  }

  #packed(field: Field, end: number): void {
    const length = this.#number(end);
    const start = this.#at;
    this.#skip(length, end);
    const packedEnd = this.#at;
    for (this.#at = start; this.#at < packedEnd; this.#countPart()) {
      this.#value(field.wireType, field, packedEnd);
    }
  }

  #skip(bytes: number, end: number): void {
    this.#at += bytes;
    if (this.#at > end) throw new RangeError('a field is cut off');
  }

  /** A tag or a length. */
  #number(end: number): number {
    const start = this.#at;
    this.#skipNumber(32, end);
    let value = 0;
    for (let at = this.#at - 1; at >= start; at -= 1) value = value * 128 + this.#payload(at);
    if (value > max32) throw new RangeError('a tag or a length of more than 32 bits');
    return value;
  }

  #skipNumber(bits: Field['bits'], end: number): void {
    const start = this.#at;
    while ((this.#bytes[this.#at] ?? 0) >= 0x80) this.#at += 1;
    this.#at += 1;
    const length = this.#at - start;
    if (this.#at > end) throw new RangeError('a number is cut off');
    const isTooLong = length > maxBytesOf64 || (length === maxBytesOf64 && this.#payload(this.#at - 1) > 1);
    if (isTooLong || (bits <= 32 && length > maxBytesOf32 && length < maxBytesOf64)) {
      throw new RangeError(`a number of ${length} bytes`);
    }
    if (bits === 1) this.#checkTruth(start);
  }

  #checkTruth(start: number): void {
    for (let at = start; at < this.#at; at += 1) {
      if (this.#payload(at) > (at === start ? 1 : 0))
        throw new RangeError('a truth value that is not 0 or 1');
    }
  }

  #payload(at: number): number {
    return (this.#bytes[at] ?? 0) & 0x7f;
  }

  #checkText(start: number): void {
    // A loop is faster than a call into the runtime for what most texts are: short, and ASCII.
    for (let at = start; at < this.#at; at += 1) {
      if ((this.#bytes[at] ?? 0) < 0x80) continue;
      if (!isUtf8(this.#bytes.subarray(at, this.#at))) throw new RangeError('a text is not UTF-8');
      return;
    }
  }
}
