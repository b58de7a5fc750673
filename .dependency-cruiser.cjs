// The layers, as rules that `npm run check` keeps:
//
//   proto <- shared <- { master-tracker, data-keeper, client } <- local-cluster <- { tests, bench, simulation, examples }
//
// Type-only imports count: a type from the wrong layer ties two packages together as well as a value does.

const services = ['master-tracker', 'data-keeper', 'client'];
const programs = '^(master-tracker|data-keeper|client)/';
const above = {
  proto: ['shared', ...services, 'local-cluster', 'tests', 'bench', 'simulation', 'examples'],
  shared: [...services, 'local-cluster', 'tests', 'bench', 'simulation', 'examples'],
  services: ['local-cluster', 'tests', 'bench', 'simulation', 'examples'],
  'local-cluster': ['tests', 'bench', 'simulation', 'examples'],
  simulation: ['tests', 'bench', 'examples'],
};
const anyOf = (names) => `^(${names.join('|')})/`;

/** Where a server touches the wire and the machine: its handlers, and where it is put together. */
const serverEdges =
  '^(master-tracker|data-keeper)/src/(grpc/|composition\\.ts$|several-keepers\\.ts$|main\\.ts$)';
const machine = '^(node:)?(fs|fs/promises|timers|timers/promises)$';
const wire = '(^|/)node_modules/@grpc/|^proto/';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-unresolved',
      comment: 'An import that leads nowhere escapes every other rule.',
      severity: 'error',
      // The generated types exist only after a build; the type checker speaks for them.
      from: { pathNot: '^proto/src/gen/' },
      // Vitest is no dependency of ours; the example for it is for those who have it.
      to: { couldNotResolve: true, pathNot: '^vitest$' },
    },
    {
      name: 'proto-is-the-floor',
      comment: 'The contract depends on no implementation.',
      severity: 'error',
      from: { path: '^proto/' },
      to: { path: anyOf(above.proto) },
    },
    {
      name: 'shared-knows-no-service',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: anyOf(above.shared) },
    },
    {
      name: 'services-know-nothing-above',
      severity: 'error',
      from: { path: programs },
      to: { path: anyOf(above.services) },
    },
    ...services.map((name) => ({
      name: `${name}-meets-others-in-the-contract`,
      comment: 'The three services never import one another: any of them may be replaced, in any language.',
      severity: 'error',
      from: { path: `^${name}/` },
      to: { path: anyOf(services.filter((other) => other !== name)) },
    })),
    {
      name: 'local-cluster-knows-nothing-above',
      severity: 'error',
      from: { path: '^local-cluster/' },
      to: { path: anyOf(above['local-cluster']) },
    },
    {
      name: 'simulation-knows-no-tests',
      comment: 'Tests of real processes have its judge of pieces.',
      severity: 'error',
      from: { path: '^simulation/' },
      to: { path: anyOf(above.simulation) },
    },
    {
      name: 'bench-measures-from-outside',
      comment: 'What is measured is what users run: the library and the programs, not their insides.',
      severity: 'error',
      from: { path: '^bench/', pathNot: '^bench/src/scale/' },
      to: { path: anyOf(['proto', 'master-tracker', 'data-keeper', 'tests']) },
    },
    {
      name: 'scale-measures-the-core',
      comment:
        'A million chunks are not stored, but written into the tables; what then is measured is its parts.',
      severity: 'error',
      from: { path: '^bench/src/scale/' },
      to: {
        path: anyOf(['proto', 'master-tracker', 'data-keeper', 'tests']),
        pathNot: '^master-tracker/src/insides\\.ts$',
      },
    },
    {
      name: 'sources-know-no-tests',
      severity: 'error',
      from: { path: '^[^/]+/src/' },
      to: { path: '^[^/]+/test/|\\.test\\.ts$' },
    },
    {
      name: 'no-deep-imports',
      comment: 'From outside, a package is what its package.json exports; the rest may change freely.',
      severity: 'error',
      from: { path: '^([^/]+)/' },
      to: {
        path: '^[^/]+/src/',
        pathNot: [
          '^$1/',
          '^[^/]+/src/index\\.ts$',
          '^shared/src/(grpc|node|program|values)/index\\.ts$',
          '^(master-tracker|client)/src/insides\\.ts$',
        ],
      },
    },
    {
      name: 'server-core-off-the-wire',
      comment: 'Handlers translate; the core speaks its own types, so it runs in a simulation without ports.',
      severity: 'error',
      from: { path: '^(master-tracker|data-keeper)/src/', pathNot: serverEdges },
      to: { path: wire },
    },
    {
      name: 'server-core-off-the-machine',
      comment: 'Files and timers come through ports, so that tests can lose power and stop the clock.',
      severity: 'error',
      from: { path: '^(master-tracker|data-keeper)/src/', pathNot: serverEdges },
      to: { path: machine },
    },
    {
      name: 'core-only-through-ports',
      comment: 'The entries of shared that touch the world are for edges; a core gets them handed in.',
      severity: 'error',
      from: {
        path: '^(shared|master-tracker|data-keeper)/src/',
        pathNot: [serverEdges, '^shared/src/(grpc|node|program)/'],
      },
      to: { path: '^shared/src/(grpc|node|program)/' },
    },
    {
      name: 'shared-wire-in-grpc-only',
      severity: 'error',
      from: { path: '^shared/src/', pathNot: '^shared/src/grpc/' },
      to: { path: wire },
    },
    {
      name: 'shared-machine-in-node-only',
      severity: 'error',
      from: { path: '^shared/src/', pathNot: '^shared/src/(node|program)/' },
      to: { path: machine },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/(dist|dist-test|coverage)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@holdfast/source', 'import', 'node', 'default'],
      mainFields: ['module', 'main'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
