/** `client fsck`: what must always hold, checked over the metadata and over what the keepers have. */
import { exitStatus } from '@holdfast/shared';
import { findKeeper, shortId } from '../../cluster/find-keeper.js';
import type { JobFinding, Job } from '../../ports/jobs.js';
import type { CommandSpec } from '../command.js';
import { countWords } from '../words.js';

/** In words, and worst first: the order in which they are shown. */
const invariants: Readonly<Record<string, string>> = {
  S1: 'bytes that are lost or out of reach',
  S2: 'paths that show nothing, or what was given up',
  S3: 'wrong bytes',
  S4: 'chunks whose bytes are in doubt',
  S5: 'bytes that are to be removed and are still used',
  S6: 'what was deleted and still counts',
  S7: 'requests with more than one effect',
  S8: 'doubt about who speaks',
  S9: 'metadata that went backwards',
  S10: 'room that nothing gives back',
  S11: 'clocks',
  repair: 'copies that are missing',
  counts: 'numbers that are wrong',
};
/** Bytes are lost, wrong, or about to go. */
const grave: ReadonlySet<string> = new Set(['S1', 'S2', 'S3', 'S4', 'S5']);

export const fsckCommand: CommandSpec = {
  name: 'fsck',
  synopsis: '',
  describe: 'Check that all files are whole: the metadata, and what the keepers have',
  details:
    'Changes nothing. Every keeper is asked anew for all that it has; the bytes themselves are read by scrubbing. ' +
    'Ends with 0 if nothing was found, 7 if bytes are lost, wrong or about to go, and 1 for anything else. ' +
    'Ctrl-C ends the waiting, not the check.\n' +
    'Pieces that no file uses go by themselves when they are few. Many of them are kept, as they may be files that ' +
    'older metadata does not know; --accept-unknown says that they are not.',
  options: {
    'accept-unknown': {
      type: 'string',
      requiresArg: true,
      describe:
        'Instead: have KEEPER (an id, the beginning of one, or HOST:PORT) trash the pieces that no file uses, however ' +
        'many they are',
    },
  },
  examples: [
    ['fsck', 'check, and show what was found'],
    ['fsck --json', 'the same for programs'],
    ['fsck --accept-unknown 4f1c8a2e', 'they belong to nothing: I know why they are there'],
  ],
  minPaths: 0,
  maxPaths: 0,
  async run({ flags, report, signal, connect }) {
    const name = flags.text('accept-unknown');
    if (name !== undefined) {
      const client = await connect();
      const { keeperId, address } = findKeeper(await client.keepers({ signal }), name);
      const answer = await client.trashUnknownPieces(keeperId, { signal });
      const { trashed, kept } = answer;
      const later = kept > 0 ? `; ${kept} stay until another report has named them` : '';
      const whose = `the trash of keeper ${shortId(keeperId)} at ${address}`;
      report.done(`${countWords(trashed, 'piece')} to ${whose}${later}`, answer);
      return exitStatus.done;
    }
    const job = await (await connect()).check({ signal });
    report.result(words(job), job);
    return statusOf(job);
  },
};

function statusOf({ state, findings, findingsTotal }: Job): number {
  if (findings.some(({ invariant }) => grave.has(invariant))) return exitStatus.dataLoss;
  return state === 'done' && findingsTotal === 0 ? exitStatus.done : exitStatus.failed;
}

function words(job: Job): string {
  const lines: string[] = [];
  const found = new Set(job.findings.map(({ invariant }) => invariant));
  // What a newer tracker calls something comes last.
  const known = Object.keys(invariants).filter((invariant) => found.has(invariant));
  for (const invariant of new Set([...known, ...found])) {
    const meaning = invariants[invariant];
    lines.push(`${invariant}${meaning === undefined ? '' : `, ${meaning}`}:`);
    lines.push(...job.findings.filter((finding) => finding.invariant === invariant).map(line), '');
  }
  const more = job.findingsTotal - job.findings.length;
  if (more > 0) lines.push(`… and ${more} more`, '');
  const total = job.findingsTotal === 0 ? 'nothing found' : countWords(job.findingsTotal, 'finding');
  lines.push(`${job.state === 'done' ? '' : `${job.state} before its end; `}${total}; ${job.text}`);
  return lines.join('\n');
}

function line({ subject, text }: JobFinding): string {
  return subject === '' ? `  ${text}` : `  ${subject}: ${text}`;
}
