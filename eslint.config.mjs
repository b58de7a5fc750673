// What the type checker does not see and the reviewer should not have to. Every rule that is not a preset's
// carries its reason.
import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

// The outside world enters the core through ports (a clock, a random source, a file system), so that whole
// clusters run in simulated time and on simulated disks. See ARCHITECTURE.md.
const usePort = 'Core code takes this through a port (shared/src/ports); the real one is in shared/src/node.';
const core = ['shared', 'master-tracker', 'data-keeper', 'client'].map((name) => `${name}/src/**/*.ts`);
const edges = [
  '*/src/{grpc,local,node,cli,program}/**',
  '*/src/main.ts',
  '*/src/composition.ts', // each server's composition root: the one place that picks the real ports
];

export default defineConfig(
  globalIgnores(['**/dist/', '**/dist-test/', '.build/', 'proto/src/gen/', '**/coverage/', '.holdfast/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{mjs,cjs,js}'],
    extends: [js.configs.recommended],
    languageOptions: {
      globals: Object.fromEntries(
        ['process', 'console', 'Buffer', 'URL', 'performance', 'fetch', 'setTimeout', 'clearTimeout']
          .concat(['setInterval', 'clearInterval', 'setImmediate', 'structuredClone', 'DOMException'])
          .concat(['AbortController', 'AbortSignal', 'WebAssembly', 'TextEncoder', 'TextDecoder'])
          .map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { require: 'readonly', module: 'writable', __dirname: 'readonly' },
    },
  },
  {
    files: ['**/*.ts'],
    extends: [js.configs.recommended, tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A promise that nobody waits for is an error that nobody sees.
      '@typescript-eslint/no-floating-promises': 'error',
      // A rejected promise returned out of a try block would pass its catch and finally by.
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/use-unknown-in-catch-callback-variable': 'error',
      // A new error code or state must be thought of wherever they are told apart.
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-deprecated': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // In-memory twins of asynchronous interfaces have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // An error that is swallowed without a word why.
      'no-empty': ['error', { allowEmptyCatch: false }],
      eqeqeq: 'error',
    },
  },
  {
    files: core,
    ignores: edges,
    rules: {
      'no-console': 'error', // the Logger port; standard output belongs to the command line
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({ name, message: usePort })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: usePort },
        { object: 'Math', property: 'random', message: usePort },
        { object: 'performance', property: 'now', message: usePort },
        { object: 'process', property: 'hrtime', message: usePort },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: usePort },
      ],
      'no-restricted-imports': [
        'error',
        ...['fs', 'fs/promises', 'node:fs', 'node:fs/promises', 'node:timers', 'node:timers/promises'].map(
          (name) => ({ name, message: usePort }),
        ),
      ],
    },
  },
  {
    files: ['**/*.test.ts', '**/test/**/*.ts', 'tests/**/*.ts'],
    rules: {
      // In a test "this is there" is itself a claim, and its failure is a failed test.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Spies are compared, and handed over, without their object.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
