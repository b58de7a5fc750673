/**
 * `node --import` this, and what leaks shows from outside. A process ends by a file that it never closed, or by listeners
 * that nobody takes away: the garbage collector closes such a file some time, with no more than a warning, and nobody who
 * looks later sees it. And SIGWINCH, which others ignore, has it collect garbage: by itself a process that has nothing to do
 * keeps what it needs no more.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

process.on('warning', (warning) => {
  if (warning.code === 'DEP0137' || warning.name === 'MaxListenersExceededWarning') throw warning;
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
process.on('SIGWINCH', () => collectGarbage());
