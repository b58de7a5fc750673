import { availableParallelism } from 'node:os';

// Tests run the workspaces from their TypeScript sources (the "@holdfast/source" export condition), so no
// build stands between an edit and its test. Tests that start programs of their own use the built ones.
export default {
  testEnvironment: 'node',
  // Tests wait about half of their time: for syncs, deaths, repairs.
  maxWorkers: availableParallelism() + 2,
  // Of tests within a file that may run side by side, as those of the whole sweep (tests/robustness/sweep) alone do.
  maxConcurrency: Number(process.env.HOLDFAST_SWEEP_JOBS ?? 1),
  // Tests wait for conditions and say which one did not come; this only ends what hangs without a word.
  testTimeout: 600_000,
  testMatch: [
    '<rootDir>/*/test/**/*.test.ts',
    '<rootDir>/tests/**/*.test.ts',
    '<rootDir>/examples/testing/jest.test.mjs',
  ],
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/.*/dist-test/', '<rootDir>/.build/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  testEnvironmentOptions: { customExportConditions: ['@holdfast/source', 'node', 'node-addons'] },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
