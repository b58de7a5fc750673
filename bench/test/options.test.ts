import { expect, it } from '@jest/globals';
import { ProgramOutput } from '@holdfast/shared/program';
import { loadOptions } from '../src/options.js';

const load = (...argv: string[]) => loadOptions(['holdfast', 'cp'], { argv, env: {} });

it('runs everything five times by default', () => {
  expect(load()).toMatchObject({
    runs: 5,
    quick: false,
    peers: false,
    only: undefined,
    contenders: undefined,
  });
});

it('takes lists, sizes and numbers', () => {
  const options = load('--only', 'big,small', '--contenders', 'cp', '--size', '16MiB', '--replicas', '1,3');
  expect(options).toMatchObject({ only: ['big', 'small'], contenders: ['cp'], size: 16 * 1024 * 1024 });
  expect(options.replicas).toEqual(['1', '3']);
});

it('names every word that it does not know', () => {
  expect(() => load('--only', 'big,huge', '--contenders', 'nfs', '--replicas', '4')).toThrow(
    /--replicas: "4"[^]*--only: "huge"[^]*--contenders: "nfs" is none of holdfast, cp/,
  );
});

it('shows examples', () => {
  expect(() => load('--help')).toThrow(ProgramOutput);
});
