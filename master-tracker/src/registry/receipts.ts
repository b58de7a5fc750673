/** Whether a keeper's receipt counts. */
import { type Receipt, receiptIsValid } from '@holdfast/shared';
import type { TrackerIdentity } from '../cluster/identity.js';
import type { Membership } from '../membership/membership.js';

/** True if two keepers have this name: whose word it is, nobody can say. */
export function isDoubtful(membership: Membership, keeperId: string): boolean {
  return typeof membership.get(keeperId)?.identityConflict === 'string';
}

/** True if the receipt is a currently known storage's word for exactly this chunk. */
export function receiptFits(
  receipt: Receipt,
  chunk: { chunkId: string; lengthBytes: number; digest: string },
  membership: Membership,
  identity: TrackerIdentity,
): boolean {
  return (
    receipt.chunkId === chunk.chunkId &&
    receipt.pieceIndex === 0 &&
    receipt.lengthBytes === chunk.lengthBytes &&
    receipt.digest.toString('hex') === chunk.digest &&
    membership.get(receipt.keeperId)?.storageId === receipt.storageId &&
    !isDoubtful(membership, receipt.keeperId) &&
    receiptIsValid(receipt, identity.receiptKey(receipt.storageId))
  );
}
