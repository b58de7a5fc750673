/**
 * Why a piece is on its keeper, and why a chunk waits for one: one small vocabulary, as it is written down.
 *
 * The failure it answers: a file is on five keepers, a sixth is full, and nobody can say what put it there. The
 * reason is known when it happens and never again, so the row carries it: a word, and the keeper that it is about.
 */
export const reasons = {
  /** Written by an upload, on the keepers of its chain. */
  upload: 'upload',
  /** The keeper said that it has it; nobody knows any more who told it to take it. */
  reported: 'reported',
  /** The upload was acknowledged with fewer pieces than its policy asks for. */
  short: 'short',
  dead: (keeperId: string) => `dead ${keeperId}`,
  /** The keeper found its piece bad or gone. */
  lost: (keeperId: string) => `lost ${keeperId}`,
  /** The keeper came back with an empty storage. */
  replaced: (keeperId: string) => `replaced ${keeperId}`,
  drain: (keeperId: string) => `drain ${keeperId}`,
  rebalance: (keeperId: string) => `rebalance ${keeperId}`,
} as const;

/** Puts a keeper into words; its id may be one that is not known any more. */
export type KeeperName = (keeperId: string) => string;

const whyMissing: Readonly<Record<string, (keeper: string) => string>> = {
  short: () => 'it was written with fewer copies than its policy asks for',
  dead: (keeper) => `${keeper} is gone`,
  lost: (keeper) => `${keeper} found its copy bad or gone`,
  replaced: (keeper) => `${keeper} came back with an empty storage`,
  drain: (keeper) => `${keeper} is being drained`,
  rebalance: (keeper) => `${keeper} is fuller than others`,
};

/** Why a chunk lacks a piece, in words that follow "because"; '' if that is not known. */
export function whyMissingInWords(because: string, name: KeeperName): string {
  const [kind = '', keeperId = ''] = because.split(' ');
  return whyMissing[kind]?.(name(keeperId)) ?? '';
}

/** Why a piece is where it is, in a few words; '' if that is not known. */
export function whyPlacedInWords(because: string | null, name: KeeperName): string {
  if (because === reasons.upload) return 'written by the upload';
  if (because === reasons.reported) return 'the keeper reported that it has it';
  const missing = whyMissingInWords(because ?? '', name);
  if (missing === '') return '';
  return `${/^(drain|rebalance) /.test(because ?? '') ? 'moved' : 'copied'} because ${missing}`;
}

/** True if a chunk that waits for this reason lost something that it had. */
export function isLoss(because: string): boolean {
  return /^(dead|lost|replaced) /.test(because);
}
