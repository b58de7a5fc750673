/** docs/performance.md: what was measured, for readers who were not there. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Results } from '../results.js';
import { type Sample, sizeWords, workloads, type Workload } from '../samples.js';
import { chartsOf, type NamedChart } from './charts.js';
import { barChart } from './svg.js';
import { comparisonTable, workloadTable } from './tables.js';
import { targetTable } from './targets.js';
import { generalCaveats, workloadTexts } from './texts.js';

// What is between these is written by hand, and kept when the page is made again.
const keptBegin = '<!-- written by hand: begin -->';
const keptEnd = '<!-- written by hand: end -->';
const emptyKept = '## Where the time goes\n\nNot written yet.';

/** What the page at hand has between its markers; a heading to begin with if there is none. */
export function keptPart(page: string): string {
  const begin = page.indexOf(keptBegin);
  const end = page.indexOf(keptEnd);
  if (begin < 0 || end < begin) return emptyKept;
  return page.slice(begin + keptBegin.length, end).trim();
}

/** The results of one run, with the name of their file. */
export interface Run {
  readonly name: string;
  readonly results: Results;
}

/**
 * Writes the page, and its charts into a folder beside it of the same name; charts of earlier results go.
 */
export async function writePage(runs: readonly Run[], pagePath: string): Promise<void> {
  const folder = pagePath.replace(/\.md$/, '');
  const before = await readFile(pagePath, 'utf8').catch(() => '');
  const samples = samplesOf(runs);
  const charts = measured(samples).flatMap((workload) => chartsOf(samples, workload));
  await mkdir(dirname(pagePath), { recursive: true });
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  for (const { fileName, chart } of charts) await writeFile(join(folder, fileName), barChart(chart));
  await writeFile(pagePath, pageOf(runs, samples, keptPart(before), basename(folder)));
}

/** Of all runs, with their rounds numbered on: only what met the same machine in the same minutes is compared. */
export function samplesOf(runs: readonly Run[]): Sample[] {
  let roundsBefore = 0;
  return runs.flatMap(({ results }) => {
    const own = results.samples.map((sample) => ({ ...sample, round: sample.round + roundsBefore }));
    roundsBefore += results.runs;
    return own;
  });
}

function measured(samples: readonly Sample[]): Workload[] {
  return workloads.filter((workload) => samples.some((sample) => sample.workload === workload));
}

/** The text of the page. */
function pageOf(runs: readonly Run[], samples: readonly Sample[], kept: string, folder: string): string {
  const targets = targetTable(samples);
  const names = runs.map(({ name }) => `\`${name}\``).join(', ');
  const parts = [
    '# Performance',
    `Made from ${names} by \`npm run bench -- --report\`; what is written by hand is between markers.`,
    ...runs.map(({ name, results }) => `\`${name}\`:\n\n${runWords(results)}`),
    ...[keptBegin, kept, keptEnd],
    ...(targets === '' ? [] : ['## Targets', targets]),
    '## What no figure here shows',
    generalCaveats,
    ...measured(samples).flatMap((workload) => sectionOf(samples, workload, folder)),
  ];
  return `${parts.join('\n\n')}\n`;
}

function runWords({
  startedAt,
  machine,
  runs,
  seed,
  quick,
  sizes,
  absent,
  failures,
  seconds,
}: Results): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `- ${startedAt.slice(0, 10)}: ${runs} ${runs === 1 ? 'round' : 'interleaved rounds'} in ${Math.round(seconds / 60)} minutes, seed ${seed}`,
    `- ${machine.cores} cores (${machine.cpu}), ${Math.round(machine.memoryBytes / 1e9)} GB, ${machine.platform}, kernel ${machine.kernel}`,
    `- file system: ${machine.fileSystem}`,
    `- Node ${machine.node}, ${versions.join(', ')}`,
    `- the big file has ${sizeWords(sizes.bigBytes)}`,
    ...(quick ? ['- **small sizes (`--quick`): these figures only show that the bench works**'] : []),
    ...Object.entries(absent).map(([name, reason]) => `- not measured: ${name} (${reason})`),
    ...failures.map(({ round, trial, message }) => `- **failed** in round ${round}: ${trial}: ${message}`),
  ];
  return lines.join('\n');
}

function sectionOf(samples: readonly Sample[], workload: Workload, folder: string): string[] {
  const { title, about, notShown } = workloadTexts[workload];
  const images = chartsOf(samples, workload).map(
    ({ fileName, chart }: NamedChart) => `![${chart.title}](${folder}/${fileName})`,
  );
  const comparisons = comparisonTable(samples, workload);
  return [
    `## ${title}`,
    about,
    `**Not shown:** ${notShown}`,
    ...images,
    workloadTable(samples, workload),
    ...(comparisons === '' ? [] : [comparisons]),
  ];
}
