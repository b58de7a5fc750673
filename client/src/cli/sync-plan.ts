/** What a sync does about an entry of its source. Pure. */
import { HoldfastError } from '@holdfast/shared';
import type { Difference } from './differences.js';
import type { TreeNode } from './trees.js';

/** Why a file is copied. */
export type CopyReason = 'new' | Difference;

export type Step =
  | { readonly kind: 'none' }
  /** A directory; `replaces`: a file gives way first. */
  | { readonly kind: 'make'; readonly replaces: boolean }
  /** A file; `replaces`: a directory gives way first. */
  | { readonly kind: 'copy'; readonly replaces: boolean; readonly why: readonly CopyReason[] }
  | { readonly kind: 'skip'; readonly why: string }
  | { readonly kind: 'refuse'; readonly error: HoldfastError };

/**
 * @param destination what has the same names there
 * @param differences of the two, if both are there
 * @param mayDelete whether a directory may give way to a file
 */
export function stepFor(
  source: TreeNode,
  destination: TreeNode | undefined,
  differences: readonly Difference[],
  mayDelete: boolean,
): Step {
  if (source.type === 'other') return { kind: 'skip', why: source.skipped ?? '' };
  const shown = JSON.stringify(source.names.join('/'));
  if (destination?.type === 'other') {
    const message = `what is at the destination as ${shown} is neither a file nor a directory`;
    return refusal('ALREADY_EXISTS', message, 'Remove it there first.');
  }
  const isOfOtherType = destination !== undefined && destination.type !== source.type;
  if (source.type === 'directory') {
    return destination && !isOfOtherType ? { kind: 'none' } : { kind: 'make', replaces: isOfOtherType };
  }
  if (isOfOtherType && !mayDelete) {
    const message = `${shown} is a file at the source and a directory at the destination`;
    return refusal('IS_A_DIRECTORY', message, 'Use --delete to replace it with all that is in it.');
  }
  if (destination && differences.length === 0) return { kind: 'none' };
  return { kind: 'copy', replaces: isOfOtherType, why: destination ? differences : ['new'] };
}

function refusal(code: 'ALREADY_EXISTS' | 'IS_A_DIRECTORY', message: string, remedy: string): Step {
  return { kind: 'refuse', error: new HoldfastError(code, message, { remedy }) };
}
