/** What goes wrong first: names and sizes that every way in and out must take. */

/** Names of one level, each legal, no two alike. */
export const awkwardNames: readonly string[] = [
  'with spaces and  more',
  'émoji 😀👩‍👩‍👧',
  'x'.repeat(255),
  'é'.repeat(127),
  '\u00e9 NFC',
  'e\u0301 NFD',
  'line\nbreak',
  'a..b',
  '..leading',
  'trailing..',
  '-rf',
  'quote\'"`$(x)',
  '%2e%2e%2f',
  '\u202eright to left',
  'con',
  ' ',
  '\u007f\u0001',
  '*',
  '[a-z]?',
];

/** Nothing, one byte, and around the bounds of blocks and chunks. */
export function awkwardSizes(blockBytes: number, chunkBytes: number): readonly number[] {
  return [
    ...[0, 1, blockBytes - 1, blockBytes, blockBytes + 1],
    ...[chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 5 * chunkBytes + blockBytes + 7],
  ];
}
