/** In what two entries differ. */
import type { TreeNode } from './trees.js';

/** `time` of modification, in milliseconds; `content` by its digest. Modes are not compared. */
export type Difference = 'type' | 'size' | 'time' | 'content';

/** Whether two files of one size have the same bytes; asked only with --checksum. */
export type SameContent<L, R> = (left: L, right: R) => Promise<boolean>;

/**
 * Files differ in size or time, or if `sameContent` is given in size or content, whatever their times; directories do
 * not differ.
 */
export async function differencesOf<L extends TreeNode, R extends TreeNode>(
  left: L,
  right: R,
  sameContent?: SameContent<L, R>,
): Promise<readonly Difference[]> {
  if (left.type !== right.type) return ['type'];
  if (left.type !== 'file') return [];
  const size: Difference[] = left.sizeBytes === right.sizeBytes ? [] : ['size'];
  if (!sameContent) {
    return left.modifiedAtUnixMs === right.modifiedAtUnixMs ? size : [...size, 'time'];
  }
  return size.length > 0 || (await sameContent(left, right)) ? size : ['content'];
}
