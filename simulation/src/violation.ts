/** A promise that was broken: what a history is run to find. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
