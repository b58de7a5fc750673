/** How a chunk stands and what is being done about it, in a sentence or two. */
import { durationInWords, plural } from '../events/words.js';
import { type Standstill, standstillInWords } from '../repair/repair-status.js';
import { reasonInWords } from '../repair/repair-summary.js';
import type { BlockReason } from '../repair/repair-view.js';

export interface ChunkStory {
  readonly policyPieces: number;
  readonly countedPieces: number;
  readonly isQueued: boolean;
  /** Why it lacks copies, in words that follow "because"; '' if that is not known. */
  readonly why: string;
  /** The keepers that are gone with a copy, in words. */
  readonly awayWith: readonly string[];
  /** The copies that are being made: to which keeper, and how long ago they were ordered. */
  readonly copies: readonly { readonly to: string; readonly ageMs: number }[];
  /** Why nothing is copied at all. */
  readonly standstill: Standstill | undefined;
  /** Why this chunk would get no copy now. */
  readonly blocked: BlockReason | undefined;
}

export function tellChunk(story: ChunkStory): string {
  const { policyPieces, countedPieces, copies, why } = story;
  const onTheWay = copies.map(({ to, ageMs }) => `a copy to ${to} was ordered ${durationInWords(ageMs)} ago`);
  if (countedPieces >= policyPieces) {
    const more = countedPieces > policyPieces ? `, ${policyPieces} of which would do` : '';
    return sentences([
      `${plural(countedPieces, 'copy', 'copies')} on keepers that are there${more}`,
      ...onTheWay,
    ]);
  }
  const standing = `${countedPieces} of ${plural(policyPieces, 'copy', 'copies')}${why === '' ? '' : `: ${why}`}`;
  if (countedPieces === 0) return sentences([`cannot be read now, ${standing}`, whoMayHelp(story)]);
  return sentences([standing, ...(onTheWay.length > 0 ? onTheWay : [whatIsDone(story)])]);
}

function whoMayHelp({ awayWith }: ChunkStory): string {
  if (awayWith.length === 0) return 'no keeper is known to have one';
  return `${awayWith.join(' and ')} had ${awayWith.length === 1 ? 'it' : 'one'}, and it is back when ${awayWith.length === 1 ? 'that keeper' : 'one of them'} is`;
}

function whatIsDone({ standstill, isQueued, blocked }: ChunkStory): string {
  if (standstill) return standstillInWords[standstill];
  if (!isQueued) return 'it is not in the repair queue, which is a defect of Holdfast';
  return blocked === undefined
    ? 'the next copy is about to be ordered'
    : `it waits, ${reasonInWords[blocked]}`;
}

function sentences(parts: readonly string[]): string {
  return parts.map((part) => `${part.charAt(0).toUpperCase()}${part.slice(1)}.`).join(' ');
}
