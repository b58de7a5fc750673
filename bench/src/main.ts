/**
 * The program `npm run bench`: measures, prints tables, keeps the samples; or makes the page of results that were
 * kept.
 */
import { runProgram } from '@holdfast/shared/program';
import { peers } from './peers/index.js';
import { ownContenders } from './contenders.js';
import { bench, report } from './bench.js';
import { loadOptions } from './options.js';

/** Servers get up to 10 s to end in order; then the data goes. */
const stopLimitMs = 30_000;

void runProgram({
  name: 'bench',
  stopLimitMs,
  start: ({ signal }) => {
    const contenders = [...ownContenders, ...peers];
    const options = loadOptions(contenders.map(({ name }) => name));
    return options.report === undefined ? bench(options, signal) : report(options.report);
  },
});
